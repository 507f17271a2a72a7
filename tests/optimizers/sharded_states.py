"""Prints, as JSON, how each optimizer's state lies on the devices that share a transformer.

Run by `test_sharded_state.py` with eight devices.
"""

import collections
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxopt_notes import (
    adagrad,
    adam,
    adam_to_sgd,
    adamw,
    handover,
    momentum,
    packed,
    rmsprop,
    sgd,
    update_in_one_loop,
)
from jaxopt_notes.optimizers import _one_loop

OPTIMIZERS = {
    "sgd": sgd(0.1),
    "sgd, momentum": sgd(0.1, momentum=0.9, nesterov=True),
    "momentum": momentum(0.1, 0.9),
    "adagrad": adagrad(0.1),
    "rmsprop": rmsprop(0.1),
    "rmsprop, centered": rmsprop(0.1, centered=True, momentum=0.9),
    "adam": adam(0.1),
    "adam, bfloat16": adam(0.1, mu_dtype=jnp.bfloat16),
    "adamw": adamw(0.1, weight_decay=0.1, nesterov=True),
    "adam-to-sgd": adam_to_sgd(0.1, 2, 0.05, carry="momentum"),
    "swats": adam_to_sgd(0.1),
    "handover": handover(adam(0.1), sgd(0.1, momentum=0.9), 2),
    "packed, small leaves": packed(adam)(0.1),
    "packed, no small leaves": packed(adam, small=8)(0.1),
}
# A block's parameters over 2 × 4 devices: `data` cuts for memory (FSDP), `model` the heads and the
# hidden features (tensor parallelism).
BLOCK = {
    "embedding": ((64, 16), P("model", None)),
    "qkv": ((16, 3, 8, 4), P("data", None, "model", None)),
    "out": ((8, 4, 16), P("model", None, "data")),
    "up": ((16, 64), P("data", "model")),
    "down": ((64, 16), P("model", "data")),
    "scale": ((16,), P()),
    "bias": ((64,), P(("data", "model"))),
}
COLLECTIVE = re.compile(
    r"= .*? (all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)(?:-start)?\("
)


def laid_out_otherwise(tree, wanted):
    """The leaves that are not laid out as wanted; the tree's branches end in the block's names."""
    wrong = []
    for path, x in jax.tree_util.tree_leaves_with_path(tree):
        name = getattr(path[-1], "key", None) if path else None
        if name in wanted and not x.sharding.is_equivalent_to(wanted[name], x.ndim):
            wrong.append(f"{jax.tree_util.keystr(path)} {x.sharding}")
    return wrong


def describe(optimizer, alone, alone_grads, wanted):
    params, grads = jax.device_put(alone, wanted), jax.device_put(alone_grads, wanted)

    def step(params, state, grads):
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    def three(step, params, grads):
        state = optimizer.init(params)
        for _ in range(3):
            params, state = step(params, state, grads)
        return params

    outside = optimizer.init(params)
    inside = jax.jit(optimizer.init)(params)
    compiled = jax.jit(step).lower(params, outside, grads).compile()
    expected = three(jax.jit(step), alone, alone_grads)
    sharded_params = three(jax.jit(step), params, grads)
    differences = jax.tree.map(
        lambda a, b: np.abs(np.asarray(a) - b).max(), sharded_params, expected
    )
    return {
        "init": laid_out_otherwise(outside, wanted),
        "init inside jit": laid_out_otherwise(inside, wanted),
        "step": laid_out_otherwise(compiled(params, outside, grads), wanted),
        "step outside jit": laid_out_otherwise(step(params, outside, grads), wanted),
        "collectives": dict(collections.Counter(COLLECTIVE.findall(compiled.as_text()))),
        "largest": float(max(jax.tree.leaves(differences))),
    }


def on_explicit_axes(optimizer, alone, one_loop):
    """The largest difference from one device after three steps, where types carry the sharding."""
    _one_loop.one_loop_works = lambda: True
    mesh = jax.make_mesh((2, 4), ("data", "model"), axis_types=(AxisType.Explicit,) * 2)

    def step(params, state):
        grads = jax.tree.map(lambda x: jnp.sin(3 * x), params)
        if one_loop:
            return update_in_one_loop(optimizer, grads, state, params)
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    def three(params):
        state = optimizer.init(params)
        for _ in range(3):
            params, state = jax.jit(step)(params, state)
        return params

    with jax.set_mesh(mesh):
        wanted = {name: NamedSharding(mesh, spec) for name, (_, spec) in BLOCK.items()}
        sharded_params = three(jax.device_put(alone, wanted))
    expected = three(jax.tree.map(jnp.asarray, alone))
    return max(
        float(np.abs(np.asarray(sharded_params[k]) - np.asarray(expected[k])).max()) for k in alone
    )


def main():
    mesh = jax.make_mesh((2, 4), ("data", "model"), axis_types=(AxisType.Auto,) * 2)
    wanted = {name: NamedSharding(mesh, spec) for name, (_, spec) in BLOCK.items()}
    rng = np.random.default_rng(0)
    alone = {name: rng.normal(size=shape).astype(np.float32) for name, (shape, _) in BLOCK.items()}
    grads = jax.tree.map(lambda x: np.sin(3 * x), alone)
    automatic = {name: describe(each, alone, grads, wanted) for name, each in OPTIMIZERS.items()}
    explicit = {
        name: on_explicit_axes(OPTIMIZERS.get(name, OPTIMIZERS["adam"]), alone, name == "one loop")
        for name in ("one loop", "swats", "adam-to-sgd", "packed, small leaves")
    }
    print(json.dumps({"auto": automatic, "explicit": explicit}))


if __name__ == "__main__":
    main()
