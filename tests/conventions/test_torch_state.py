"""A run moves from torch to JAX in mid-training and ends where torch would have ended."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_notes.conventions import translate, translate_state
from jaxopt_notes.errors import InputError
from jaxopt_notes.verification import oracle_torch, problem
from jaxopt_notes.verification.settings import RATE, Setting, settings
from tests.slow_cases import slow_but

torch = pytest.importorskip("torch", reason="torch is not installed")

HALF, WHOLE = 35, 50
TABLE = [s for s in settings() if s.framework == "torch"]


def half_way(setting: Setting, dtype: str) -> tuple[Any, dict[str, Any]]:
    params = oracle_torch.parameters(dtype)
    opt = oracle_torch.optimizer(setting.optimizer, params.values(), setting.keywords, RATE)
    # The first half of the long run's gradients.
    gs = problem.gradients(WHOLE, dtype)
    rates = np.broadcast_to(setting.rate(WHOLE), WHOLE)
    for k in range(HALF):
        opt.param_groups[0]["lr"] = float(rates[k])
        for name, p in params.items():
            p.grad = torch.tensor(gs[name][k])
        opt.step()
    return opt, params


@pytest.mark.parametrize("setting", slow_but(TABLE[::3], TABLE, lambda s: s.label))
def test_half_in_torch_and_half_here_end_where_torch_does(setting: Setting) -> None:
    opt, at = half_way(setting, "float64")
    lr: Any = problem.schedule(WHOLE) if setting.scheduled else None
    with jax.enable_x64(True):
        params = {name: jnp.array(p.detach().numpy()) for name, p in at.items()}
        # torch's SGD keeps no count; the names are in torch's order.
        state = translate_state(
            opt.state_dict(), params, lr=lr, names=["weight", "bias"], steps=HALF
        )
    ours = problem.path(translate(opt, lr=lr), WHOLE, params=params, state=state, first=HALF)
    keywords, rate = setting.keywords, setting.rate(WHOLE)
    there = oracle_torch.path(setting.optimizer, keywords, rate, WHOLE, "float64")
    there = {name: path[HALF:] for name, path in there.items()}
    assert problem.apart(ours, there, "float64") <= 1e-12


def test_a_model_whose_kernels_are_transposed() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 2))
    opt = torch.optim.Adam(model.named_parameters(), lr=0.1)

    def loss(x: Any) -> Any:
        return (model(x) ** 2).sum()

    def arrange(of: Any) -> Any:
        layers = ["0", "1"]
        return [{"kernel": of[f"{i}.weight"].T, "bias": of[f"{i}.bias"]} for i in layers]

    def values() -> Any:
        return {n: p.detach().numpy().copy() for n, p in model.named_parameters()}

    x = torch.linspace(-1, 1, 12).reshape(4, 3)
    for _ in range(5):
        opt.zero_grad()
        loss(x).backward()
        opt.step()
    params = jax.tree.map(
        jnp.asarray, arrange({n: p.detach().numpy() for n, p in model.named_parameters()})
    )
    state = translate_state(opt.state_dict(), params, arrange=arrange)
    optimizer = translate(opt)

    def ours(layers: Any) -> Any:
        y = x.numpy()
        for layer in layers:
            y = y @ layer["kernel"] + layer["bias"]
        return (y**2).sum()

    @jax.jit
    def take(state: Any, params: Any) -> Any:
        updates, state = optimizer.update(jax.grad(ours)(params), state, params)
        return jax.tree.map(jnp.add, params, updates), state

    for _ in range(5):
        opt.zero_grad()
        loss(x).backward()
        opt.step()
        params, state = take(state, params)
    there = arrange(values())
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6), params, there)


def test_param_groups_that_differ() -> None:
    params = oracle_torch.parameters("float32")
    groups = [
        {"params": [("weight", params["weight"])]},
        {"params": [("bias", params["bias"])], "lr": 0.5, "weight_decay": 0.0},
    ]
    opt = torch.optim.AdamW(groups, lr=RATE)
    for p in params.values():
        p.grad = torch.ones_like(p)
    opt.step()
    here = {name: jnp.array(p.detach().numpy()) for name, p in params.items()}
    state = translate_state(opt.state_dict(), here)
    optimizer = translate(opt, arrange={"weight": "weight", "bias": "bias"})
    ones = jax.tree.map(np.ones_like, here)
    updates, _ = jax.jit(optimizer.update)(ones, state, here)
    opt.step()
    for name, p in params.items():
        moved = np.asarray(here[name]) + np.asarray(updates[name])
        np.testing.assert_allclose(moved, p.detach().numpy(), rtol=1e-6)


def test_half_precision_keeps_its_bits() -> None:
    p = torch.nn.Parameter(torch.ones(3, dtype=torch.bfloat16))
    opt = torch.optim.SGD([p], momentum=0.9)
    p.grad = torch.tensor([1.0, 2.0, 3.0], dtype=torch.bfloat16)
    opt.step()
    state = translate_state(opt.state_dict(), [jnp.ones(3, jnp.bfloat16)])
    trace = state[0].trace[0]
    assert trace.dtype == jnp.bfloat16
    assert trace.tolist() == [1.0, 2.0, 3.0]


def test_later_steps_in_torch_leave_the_state_as_it_was() -> None:
    p = torch.nn.Parameter(torch.zeros(4096))
    opt = torch.optim.Adam([p])
    p.grad = torch.ones(4096)
    opt.step()
    state = translate_state(opt.state_dict(), [jnp.zeros(4096)])
    before = np.array(state[0].mu[0])
    opt.step()
    np.testing.assert_array_equal(state[0].mu[0], before)


def adam_after_one_step() -> Any:
    a, b = (torch.nn.Parameter(torch.zeros(2, 3)) for _ in range(2))
    opt = torch.optim.Adam([a, b])
    a.grad, b.grad = torch.ones(2, 3), torch.ones(2, 3)
    opt.step()
    return opt


def refused(says: str, opt: Any, params: Any, **keywords: Any) -> None:
    with pytest.raises(InputError, match=says) as error:
        translate_state(opt.state_dict(), params, **keywords)
    assert "\n" not in str(error.value)


def test_refuses_what_does_not_fit() -> None:
    opt = adam_after_one_step()
    right = [jnp.zeros((2, 3))] * 2
    refused(
        r"exp_avg at \[1\] is float32\[2, 3\], the parameter", opt, [right[0], jnp.zeros((3, 2))]
    )
    refused("the parameter bfloat16", opt, [right[0], jnp.zeros((2, 3), jnp.bfloat16)])
    refused("the arrangement leaves out the parameter 1", opt, right[:1])
    refused("params is nested", opt, {"a": {"b": right[0]}})
    refused("no parameter is named 'z'", opt, right, arrange=["z", 0])
    refused("names has 1 entries, the optimizer 2", opt, right, names=["a"])
    refused("steps=7, but the state_dict counts 1", opt, right, steps=7)


def test_refuses_a_schedule_without_a_count() -> None:
    p = torch.nn.Parameter(torch.zeros(2))
    opt = torch.optim.SGD([p], momentum=0.9)
    refused("does not count its steps", opt, [jnp.zeros(2)], lr=lambda k: 0.1)
