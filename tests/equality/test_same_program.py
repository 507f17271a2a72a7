"""Inside jit an update compiles to the program that optax's does: fusion for fusion."""

import collections
import re

import jax
import jax.numpy as jnp
import optax
import pytest

import jaxopt_notes

SHAPES = {"a": (3, 3, 8, 16), "b": (16,), "c": (300, 70), "d": (70,), "e": (16,)}
RULES = {
    "sgd": {"momentum": 0.9},
    "adagrad": {},
    "rmsprop": {},
    "adam": {},
    "adamw": {"weight_decay": 1e-2},
}


def fusions(library, name):
    """Each computation of the compiled step, in names that count from its beginning."""
    optimizer = getattr(library, name)(1e-3, **RULES[name])

    def step(params, state, grads):
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    params = {key: jnp.ones(shape) for key, shape in SHAPES.items()}
    jitted = jax.jit(step, donate_argnums=(0, 1))
    text = jitted.lower(params, optimizer.init(params), params).compile().as_text()
    text = re.sub(r", metadata=\{[^}]*\}", "", text)
    bodies = re.findall(r"^%\S+ \([^\n]*\{\n(.*?)^\}", text, re.DOTALL | re.MULTILINE)
    # Without the counter's fusion: optax returns a full counter as a constant, we as it is.
    return collections.Counter(renamed(body) for body in bodies if "f32[" in body)


def renamed(body):
    names = {}
    body = re.sub(r"%[\w.\-]+", lambda m: names.setdefault(m[0], f"%{len(names)}"), body)
    return re.sub(r"\(%[^)]*\) ->.*", "", body)


@pytest.mark.parametrize("name", RULES)
def test_ours_compiles_to_what_optax_compiles_to(name):
    ours, optax_fusions = fusions(jaxopt_notes, name), fusions(optax, name)
    assert sum(optax_fusions.values()) >= 2 * len(SHAPES)
    assert ours == optax_fusions
