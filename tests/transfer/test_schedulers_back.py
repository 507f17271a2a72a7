"""A torch scheduler comes along and goes back: as itself, as a LambdaLR, or it is refused."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_notes.conventions import translate, translate_state
from jaxopt_notes.errors import InputError
from jaxopt_notes.transfer import (
    as_tensors,
    to_torch_optimizer,
    to_torch_scheduler_state,
    to_torch_state,
)

torch = pytest.importorskip("torch", reason="torch is not installed")
of = torch.optim.lr_scheduler

SHAPES = {"weight": (2, 3), "bias": (2,)}
GRADIENTS = {
    name: np.random.default_rng(i).normal(0.2, 1.0, (90, *shape))
    for i, (name, shape) in enumerate(SHAPES.items())
}
LEG = 30
WRITABLE: dict[str, Callable[[Any], Any]] = {
    "one cycle": lambda opt: of.OneCycleLR(opt, max_lr=[0.1, 0.02], total_steps=120),
    "linear cycle": lambda opt: of.OneCycleLR(
        opt, max_lr=0.1, total_steps=100, anneal_strategy="linear", three_phase=True
    ),
    "cosine": lambda opt: of.CosineAnnealingLR(opt, T_max=20, eta_min=1e-4),
    "exponential": lambda opt: of.ExponentialLR(opt, 0.97),
    "step": lambda opt: of.StepLR(opt, 25, 0.5),
    "multi-step": lambda opt: of.MultiStepLR(opt, [10, 40, 70], 0.3),
    "linear": lambda opt: of.LinearLR(opt, 0.1, total_iters=50),
    "polynomial": lambda opt: of.PolynomialLR(opt, 80, 2.0),
    "constant": lambda opt: of.ConstantLR(opt, 0.1, 40),
}


def parameters() -> dict[str, Any]:
    random = np.random.default_rng(9)
    return {
        name: torch.nn.Parameter(torch.tensor(random.normal(size=shape)))
        for name, shape in SHAPES.items()
    }


def optimizer(params: dict[str, Any], kind: str = "AdamW") -> Any:
    """Two param groups with their own settings, in another order than the names."""
    groups = [
        {"params": [("bias", params["bias"])], "weight_decay": 0.0},
        {"params": [("weight", params["weight"])], "lr": 0.02},
    ]
    more = {"momentum": 0.9} if kind == "SGD" else {"amsgrad": True}
    return getattr(torch.optim, kind)(groups, lr=0.05, weight_decay=0.1, **more)


def in_torch(opt: Any, params: dict[str, Any], scheduler: Any, steps: range) -> list[list[float]]:
    """The learning rate of each step."""
    rates = []
    for k in steps:
        for name, p in params.items():
            p.grad = torch.tensor(GRADIENTS[name][k])
        rates.append([group["lr"] for group in opt.param_groups])
        opt.step()
        scheduler.step()
    return rates


def here(made: Any, params: Any, state: Any, steps: range) -> Any:
    @jax.jit
    def step(grads: Any, state: Any, params: Any) -> Any:
        updates, state = made.update(grads, state, params)
        return jax.tree.map(jnp.add, params, updates), state

    for k in steps:
        params, state = step({name: GRADIENTS[name][k] for name in params}, state, params)
    return params, state


def comes_along_and_goes_back(name: str, kind: str) -> None:
    there, alone = parameters(), parameters()
    opt, whole = optimizer(there, kind), optimizer(alone, kind)
    scheduler, of_whole = WRITABLE[name](opt), WRITABLE[name](whole)
    in_torch(opt, there, scheduler, range(LEG))
    with jax.enable_x64(True):
        params = {n: jnp.array(p.detach().numpy()) for n, p in there.items()}
        made = translate(opt, scheduler)
        state = translate_state(opt, params, scheduler=scheduler)
        params, state = here(made, params, state, range(LEG, 2 * LEG))
        again = parameters()
        back, resumed = to_torch_optimizer(made, state, params, again, load_weights=True)
        files = to_torch_state(made, state, params), to_torch_scheduler_state(made, state, params)
    in_torch(whole, alone, of_whole, range(2 * LEG))
    assert type(resumed) is type(scheduler)
    # To the last digit.
    assert files[1] == of_whole.state_dict() == resumed.state_dict()
    assert back.state_dict()["param_groups"] == whole.state_dict()["param_groups"]
    assert files[0]["param_groups"] == whole.state_dict()["param_groups"]
    loaded = optimizer(parameters(), kind)
    from_file = WRITABLE[name](loaded)
    loaded.load_state_dict(as_tensors(files[0]))
    from_file.load_state_dict(files[1])
    rest = range(2 * LEG, 3 * LEG)
    rates = in_torch(whole, alone, of_whole, rest)
    assert in_torch(back, again, resumed, rest) == rates
    file_params = {n: p for g in loaded.param_groups for n, p in zip(g["param_names"], g["params"])}
    assert in_torch(loaded, file_params, from_file, rest) == rates
    for n, p in alone.items():
        np.testing.assert_allclose(again[n].detach(), p.detach(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("name", "kind"), [("one cycle", "AdamW"), ("cosine", "SGD")])
def test_it_comes_along_and_goes_back(name: str, kind: str) -> None:
    comes_along_and_goes_back(name, kind)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["AdamW", "SGD"])
@pytest.mark.parametrize("name", WRITABLE)
def test_each_comes_along_and_goes_back(name: str, kind: str) -> None:
    comes_along_and_goes_back(name, kind)


def refused(says: str, call: Any, *args: Any, **keywords: Any) -> None:
    with pytest.raises(InputError, match=says) as error:
        call(*args, **keywords)
    assert "\n" not in str(error.value)


def came_along(scheduler: Callable[[Any], Any], steps: int = 3, **keywords: Any) -> Any:
    """(optimizer, state, params) here, after some steps in torch."""
    params = parameters()
    opt = optimizer(params)
    run = scheduler(opt)
    in_torch(opt, params, run, range(steps))
    theta = {name: jnp.array(p.detach().numpy()) for name, p in params.items()}
    state = translate_state(opt, theta, scheduler=run, **keywords)
    return translate(opt, run, **keywords), state, theta


def test_one_whose_state_does_not_say_all_becomes_a_lambda() -> None:
    with jax.enable_x64(True):
        run = came_along(lambda opt: of.LambdaLR(opt, lambda k: 0.9**k), total_steps=20)
        says = "comes from torch's LambdaLR, whose state is incomplete.*pass lr="
        refused(says, to_torch_state, *run)
        refused(says, to_torch_scheduler_state, *run)
        there = parameters()
        opt, scheduler = to_torch_optimizer(*run, there, load_weights=True)
        # A number in place of the schedule, for all param groups.
        assert [g["lr"] for g in to_torch_state(*run, lr=0.5)["param_groups"]] == [0.5, 0.5]
    assert type(scheduler) is of.LambdaLR
    rates = in_torch(opt, there, scheduler, range(3, 6))
    assert rates == [[0.05 * 0.9**k, 0.02 * 0.9**k] for k in range(3, 6)]


def test_a_cycled_momentum_that_no_lambda_sets_is_refused() -> None:
    with jax.enable_x64(True):
        run = came_along(lambda opt: of.CyclicLR(opt, 0.001, 0.1, 10), total_steps=20)
        refused("comes from torch's CyclicLR", to_torch_state, *run)
        says = "betas: it changes at each step, and torch's LambdaLR sets only the learning rate"
        refused(says, to_torch_optimizer, *run, parameters(), load_weights=True)
        now = to_torch_state(*run, lr=0.1)["param_groups"][0]
    assert now["betas"] == pytest.approx((0.9 - 0.1 * 3 / 10, 0.999))
    assert "max_momentum" not in now


def test_one_that_steps_once_in_ten_steps() -> None:
    """It stands where it was: ten steps of the optimizer are one of its own."""
    params = parameters()
    opt = optimizer(params)
    scheduler = of.ExponentialLR(opt, 0.5)
    with jax.enable_x64(True):
        theta = {name: jnp.array(p.detach().numpy()) for name, p in params.items()}
        keywords = {"scheduler": scheduler, "scheduler_every": 10}
        made = translate(opt, **keywords)
        theta, state = here(made, theta, translate_state(opt, theta, **keywords), range(25))
        there = parameters()
        back, resumed = to_torch_optimizer(made, state, theta, there, load_weights=True)
    assert (resumed.last_epoch, resumed.get_last_lr()) == (2, [0.0125, 0.005])
    assert [group["lr"] for group in back.param_groups] == [0.0125, 0.005]


def test_without_a_schedule_there_is_no_scheduler() -> None:
    params = parameters()
    made = translate(optimizer(params))
    with jax.enable_x64(True):
        theta = {name: jnp.array(p.detach().numpy()) for name, p in params.items()}
        assert to_torch_scheduler_state(made, made.init(theta), theta) is None
