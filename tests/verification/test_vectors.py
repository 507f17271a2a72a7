"""The test vectors of docs/vectors: our optimizers pass them, wrong ones do not."""

import contextlib
import itertools
import json
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_notes.verification import settings
from tests.slow_cases import slow_but

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "vectors"
SHARED = json.loads((FOLDER / "gradients.json").read_text(encoding="utf-8"))
CASES = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted(FOLDER.glob("*.json"))
    if path.stem != "gradients"
}


def walk(optimizer, dtype):
    """Parameters after each step, float64 (steps, size), in a run that keeps all in `dtype`."""
    with jax.enable_x64(dtype == "float64"):
        grads, params = (
            {leaf: np.asarray(x, jnp.dtype(dtype)) for leaf, x in SHARED[key].items()}
            for key in ("gradients", "start")
        )

        def step(carry, g):
            params, state = carry
            updates, state = optimizer.update(g, state, params)
            params = optax.apply_updates(params, updates)
            return (params, state), params

        @jax.jit
        def run(params, grads):
            return jax.lax.scan(step, (params, optimizer.init(params)), grads)[1]

        path = run(params, grads)
        return {leaf: np.asarray(x, np.float64) for leaf, x in path.items()}


def distance(case, path, dtype):
    """The largest difference of the steps that the dtype is judged by, in units of the scale."""
    last = SHARED["judged"][dtype]
    return max(
        abs(path[leaf][int(step) - 1][i] - value) / (case["scale"][leaf][i] or 1)
        for step, leaves in case["expected"].items()
        if int(step) <= last
        for leaf, values in leaves.items()
        for i, value in enumerate(values)
    )


def ours(case):
    keywords = {key: value for key, value in case["keywords"].items() if key != "learning_rate"}
    if "betas" in keywords:
        keywords["betas"] = tuple(keywords["betas"])
    assert case["keywords"]["learning_rate"] == settings.RATE
    return settings.named(case["optimizer"], keywords, scheduled=False).build(SHARED["steps"])


# Of each optimizer in each convention the last case: none is at its defaults.
QUICK = set({case["optimizer"]: name for name, case in CASES.items()}.values())


@pytest.mark.parametrize("name", slow_but(QUICK, CASES))
def test_our_optimizers_pass_in_float32(name):
    passes(name, "float32")


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_our_optimizers_pass_in_other_dtypes(name, dtype):
    passes(name, dtype)


def passes(name, dtype):
    case = CASES[name]
    with jax.enable_x64(dtype == "float64"):
        optimizer = ours(case)
    assert distance(case, walk(optimizer, dtype), dtype) <= case["tolerance"][dtype]


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("torch.rmsprop-1", lambda: optax.rmsprop(0.01, decay=0.99)),
        ("keras.adam-1", lambda: optax.adam(0.01, eps=1e-7)),
        ("torch.adamw-1", lambda: optax.adamw(0.01)),
        ("optax.adagrad-1", lambda: optax.adagrad(0.01, initial_accumulator_value=0.0)),
    ],
)
def test_another_frameworks_optimizer_does_not_pass(name, wrong):
    case = CASES[name]
    assert distance(case, walk(wrong(), "float32"), "float32") > 2 * case["tolerance"]["float32"]


def test_every_optimizer_of_the_notes_is_there_in_each_convention():
    names = {case["optimizer"] for case in CASES.values()}
    assert names >= {
        f"{framework}.{optimizer}"
        for framework in ("notes", "optax", "torch", "keras", "tensorflow1")
        for optimizer in ("adagrad", "rmsprop", "adam", "adamw")
    }
    assert all(case["catches"] for case in CASES.values())


@pytest.mark.parametrize(("eps", "passes"), [(1e-8, True), (1e-3, False)])
def test_the_pages_loop_compares_an_optimizer_of_plain_numbers(eps, passes, monkeypatch):
    """Adam as torch writes it."""
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    (loop,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    moments, steps = {}, itertools.count(1)

    def my_step(params, grads):
        t = next(steps)

        def moved(name, i, p):
            g = grads[name][i]
            m, v = moments.get((name, i), (0.0, 0.0))
            m, v = moments[name, i] = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
            return p - 0.01 * (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)) ** 0.5 + eps)

        return {n: [moved(n, i, p) for i, p in enumerate(row)] for n, row in params.items()}

    monkeypatch.chdir(FOLDER)
    with contextlib.nullcontext() if passes else pytest.raises(AssertionError):
        exec(loop, {"my_step": my_step})
