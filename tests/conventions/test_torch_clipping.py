"""Gradients are clipped as torch.nn.utils clips them, to the last units."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_notes import conventions
from jaxopt_notes.conventions.torch import clip_grad_norm, clip_grad_value

NORMS = [(0.7, p) for p in (2.0, 1.0, 3.5, 0.0, float("inf"), -float("inf"))]
NORMS += [(1e-5, 2.0), (100.0, 2.0)]
DTYPES = {"float64": 4, "float32": 4, "bfloat16": 2, "float16": 2}  # units in the last place


@pytest.fixture(name="torch")
def _torch() -> Any:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    torch.set_num_threads(1)  # torch's threads and XLA's disturb each other in one process
    return torch


def gradients(dtype: str = "float64", scale: float = 1.0) -> dict[str, Any]:
    random = np.random.default_rng(3)
    shapes = {"a": (3, 4), "b": (3, 4), "c": ()}
    numbers = {n: np.asarray(random.normal(size=s) * scale) for n, s in shapes.items()}
    return {n: jax.device_put(x.astype(jnp.dtype(dtype))) for n, x in numbers.items()}


def by_torch(torch: Any, clip: str, grads: dict[str, Any], *args: Any) -> dict[str, np.ndarray]:
    params = []
    for g in grads.values():
        value = torch.tensor(np.asarray(g, np.float64)).to(getattr(torch, str(g.dtype)))
        params.append(torch.nn.Parameter(torch.zeros_like(value)))
        params[-1].grad = value
    getattr(torch.nn.utils, clip)(params, *args)
    return {n: p.grad.double().numpy() for n, p in zip(grads, params)}


def ours(optimizer: optax.GradientTransformation, grads: Any) -> Any:
    # Compiled, XLA may compute in more than half precision, which would hide an overflow.
    half = any(x.dtype.itemsize == 2 for x in jax.tree.leaves(grads))
    update = optimizer.update if half else jax.jit(optimizer.update)
    updates, state = update(grads, optimizer.init(grads))
    assert state == optax.EmptyState()
    assert jax.tree.map(jnp.shape, updates) == jax.tree.map(jnp.shape, grads)
    for u, g in zip(jax.tree.leaves(updates), jax.tree.leaves(grads)):
        assert u.dtype == g.dtype
    return updates


def same(here: Any, there: Any, dtype: str) -> None:
    for name, x in there.items():
        y = np.asarray(here[name], np.float64)
        units = DTYPES[dtype] * float(jnp.finfo(dtype).eps)
        np.testing.assert_allclose(y, x, rtol=units, atol=0, err_msg=name)


def norm_is_torchs(torch: Any, max_norm: float, norm_type: float, dtype: str) -> None:
    with jax.enable_x64(True):
        grads = gradients(dtype)
        here = ours(clip_grad_norm(max_norm, norm_type), grads)
        same(here, by_torch(torch, "clip_grad_norm_", grads, max_norm, norm_type), dtype)


@pytest.mark.parametrize(("max_norm", "norm_type"), NORMS)
def test_norm(torch: Any, max_norm: float, norm_type: float) -> None:
    norm_is_torchs(torch, max_norm, norm_type, "float32")


@pytest.mark.parametrize("dtype", DTYPES)
def test_norm_in_each_dtype(torch: Any, dtype: str) -> None:
    norm_is_torchs(torch, 0.7, 2.0, dtype)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("max_norm", "norm_type"), NORMS)
def test_every_norm_in_each_dtype(
    torch: Any, max_norm: float, norm_type: float, dtype: str
) -> None:
    norm_is_torchs(torch, max_norm, norm_type, dtype)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_value(torch: Any, dtype: str) -> None:
    with jax.enable_x64(True):
        grads = gradients(dtype)
        here = ours(clip_grad_value(0.4), grads)
        same(here, by_torch(torch, "clip_grad_value_", grads, 0.4), dtype)


@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_what_is_not_finite(torch: Any, odd: float) -> None:
    with jax.enable_x64(True):
        grads = gradients()
        grads["b"] = np.array(grads["b"])
        grads["b"][1, 1] = odd
        for clip, torch_name in [
            (clip_grad_norm(1.0), "clip_grad_norm_"),
            (clip_grad_value(1.0), "clip_grad_value_"),
        ]:
            there = by_torch(torch, torch_name, grads, 1.0)
            for name, g in ours(clip, grads).items():
                np.testing.assert_allclose(g, there[name], rtol=1e-15)


def test_the_gradients_of_a_parameter_of_large_numbers_do_not_overflow_in_half_precision() -> None:
    g = {"a": jax.device_put(np.full((3, 4), 1000.0, np.float16))}
    np.testing.assert_allclose(ours(clip_grad_norm(1.0), g)["a"], 12**-0.5, rtol=2e-3)


def test_none_and_masked_gradients_stay_and_do_not_count() -> None:
    grads = {"a": np.float32([3.0, 4.0]), "none": None, "masked": optax.MaskedNode()}
    for clip in (clip_grad_norm(1.0), clip_grad_value(1.0)):
        updates, _ = jax.jit(clip.update)(grads, clip.init(grads))
        assert updates["none"] is None
        assert updates["masked"] == optax.MaskedNode()
        assert 0.5 < np.asarray(updates["a"])[0] <= 1.0
    nothing = {"none": None}
    assert clip_grad_norm(1.0).update(nothing, optax.EmptyState())[0] == nothing


def test_clips_inside_a_jitted_chain(torch: Any) -> None:
    """Before the decay, as in torch: weight decay is not clipped."""
    with jax.enable_x64(True):
        grads = gradients()
        p = {
            n: torch.nn.Parameter(torch.ones(g.shape, dtype=torch.float64))
            for n, g in grads.items()
        }
        opt = torch.optim.SGD(p.values(), lr=0.1, momentum=0.9, weight_decay=0.5)
        optimizer = optax.chain(
            clip_grad_norm(0.5), conventions.torch.sgd(0.1, 0.9, weight_decay=0.5)
        )
        theta = {n: np.ones(g.shape) for n, g in grads.items()}
        state, step = optimizer.init(theta), jax.jit(optimizer.update)
        for k in (1, 5):
            for n, g in grads.items():
                p[n].grad = torch.tensor(np.asarray(g) * k)
            torch.nn.utils.clip_grad_norm_(p.values(), 0.5)
            opt.step()
            updates, state = step({n: np.asarray(g) * k for n, g in grads.items()}, state, theta)
            theta = {n: p + np.asarray(updates[n]) for n, p in theta.items()}
        for n, x in p.items():
            np.testing.assert_allclose(theta[n], x.detach().numpy(), rtol=1e-13)


def test_optax_leaves_out_the_1e_6() -> None:
    with jax.enable_x64(True):
        g = np.array([3.0, 4.0]) * 1e-5
        clip = optax.clip_by_global_norm(1e-5)
        optax_clipped, _ = jax.jit(clip.update)(g, clip.init(g))
        assert np.linalg.norm(optax_clipped) == pytest.approx(1e-5, rel=1e-12)
        here, _ = jax.jit(clip_grad_norm(1e-5).update)(g, optax.EmptyState())
        assert np.linalg.norm(here) == pytest.approx(1e-5 * 50 / 51, rel=1e-12)


def test_refuses_what_bounds_nothing() -> None:
    for bound in (-1.0, float("nan")):
        with pytest.raises(ValueError, match=r"max_norm=.* must be not negative"):
            clip_grad_norm(bound)
        with pytest.raises(ValueError, match=r"clip_value=.* must be not negative"):
            clip_grad_value(bound)
    g = np.float32([3.0, 4.0])
    np.testing.assert_array_equal(ours(clip_grad_norm(float("inf")), g), g)
