"""50 steps in torch, 50 here and 50 in torch again end where 150 in torch do."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_notes
from jaxopt_notes.conventions import translate, translate_state
from jaxopt_notes.transfer import to_torch_optimizer
from jaxopt_notes.verification import oracle_torch, problem
from jaxopt_notes.verification.settings import RATE, Setting, named, settings
from tests.slow_cases import slow_but

torch = pytest.importorskip("torch", reason="torch is not installed")

LEG = 50
WHOLE = 3 * LEG
TABLE = [s for s in settings() if s.framework == "torch"]
# Allowed errors: in float32 units in the last place of a step, in float64 a share of the path.
A_STEP, OF_THE_WAY = 8, 1e-12
POWERS = 48  # times as much for optax's Adam in float32, which rounds the power of β


def step_in_torch(opt: Any, params: Any, ks: range, rates: Any, scheduler: Any = None) -> Any:
    """θ after each step. Without a scheduler the learning rates are set."""
    gs = problem.gradients(WHOLE, str(next(iter(params.values())).dtype).removeprefix("torch."))
    seen = []
    for k in ks:
        for group in opt.param_groups if scheduler is None else ():
            group["lr"] = float(rates[k])
        for name, p in params.items():
            p.grad = torch.tensor(gs[name][k])
        opt.step()
        if scheduler is not None:
            scheduler.step()
        seen.append({name: p.detach().numpy().copy() for name, p in params.items()})
    return {name: np.stack([at[name] for at in seen]) for name in params}


def step_here(made: Any, params: Any, state: Any, ks: range, dtype: str) -> Any:
    """θ after each step; the last θ and state."""

    @jax.jit
    def take(grads: Any, state: Any, params: Any) -> Any:
        updates, state = made.update(grads, state, params)
        return jax.tree.map(jnp.add, params, updates), state

    gs, seen = problem.gradients(WHOLE, dtype), []
    for k in ks:
        params, state = take({name: g[k] for name, g in gs.items()}, state, params)
        seen.append({name: np.asarray(p) for name, p in params.items()})
    return {name: np.stack([at[name] for at in seen]) for name in params}, params, state


def there_and_back(setting: Setting, dtype: str, traced: bool) -> tuple[Any, Any]:
    """The path of the three legs, and torch's own.

    Args:
      setting: the optimizer.
      dtype: of the parameters.
      traced: whether `recognize` must find out what `translate` would remember.
    """
    rates = np.broadcast_to(setting.rate(WHOLE), WHOLE)
    first, alone = (oracle_torch.parameters(dtype) for _ in range(2))
    opt, whole = (
        oracle_torch.optimizer(setting.optimizer, p.items(), setting.keywords, rates)
        for p in (first, alone)
    )
    legs = [step_in_torch(opt, first, range(LEG), rates)]
    # A copy: JAX remembers a table that it has rounded to float32, when it traces in float64 too.
    lr: Any = (lambda k: jnp.asarray(rates.copy())[k]) if setting.scheduled else RATE
    with jax.enable_x64(dtype == "float64"):
        params = {name: jnp.array(p.detach().numpy()) for name, p in first.items()}
        made = translate(opt, lr=lr)
        state = translate_state(opt, params, lr=lr, steps=LEG)
        if traced:
            made = optax.GradientTransformation(made.init, made.update)
        middle, params, state = step_here(made, params, state, range(LEG, 2 * LEG), dtype)
        again = oracle_torch.parameters(dtype)
        back, scheduler = to_torch_optimizer(made, state, params, again, load_weights=True)
    rest = range(2 * LEG, WHOLE)
    legs += [middle, step_in_torch(back, again, rest, rates, scheduler or NoScheduler())]
    ours = {name: np.concatenate([leg[name] for leg in legs]) for name in again}
    return ours, step_in_torch(whole, alone, range(WHOLE), rates)


class NoScheduler:
    """In place of the scheduler of a constant learning rate."""

    def step(self) -> None:
        pass


def far(ours: problem.Path, torch_path: problem.Path, dtype: str) -> float:
    """The largest distance, as a share of the allowed one."""
    if dtype == "float64":
        return problem.apart(ours, torch_path, dtype) / OF_THE_WAY
    paths = [
        [{name: path[:k] for name, path in of.items()} for of in (ours, torch_path)]
        for k in range(LEG + 1, WHOLE + 1)
    ]
    # Each step since torch was left may be off.
    return max(problem.ulps(*upto, dtype) / (A_STEP * k) for k, upto in enumerate(paths, start=1))


SAMPLE = [
    ("torch.sgd", {"momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1}, "float64", True),
    ("torch.rmsprop", {}, "float64", False),
    ("torch.adagrad", {"weight_decay": 0.1, "maximize": True}, "float32", True),
    ("torch.adamw", {"amsgrad": True, "weight_decay": 0.1}, "float32", False),
]


@pytest.mark.parametrize(("name", "keywords", "dtype", "traced"), slow_but(SAMPLE[::3], SAMPLE))
def test_a_sample(name: str, keywords: dict[str, Any], dtype: str, traced: bool) -> None:
    assert far(*there_and_back(named(name, keywords), dtype, traced), dtype) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("traced", [False, True], ids=["remembered", "recognised"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("setting", TABLE, ids=lambda s: s.label)
def test_every_setting(setting: Setting, dtype: str, traced: bool) -> None:
    assert far(*there_and_back(setting, dtype, traced), dtype) <= 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_two_groups_amsgrad_decay_and_a_cycle(dtype: str) -> None:
    """With torch's own scheduler all the way, of the learning rate and of β1."""

    def build(params: Any) -> tuple[Any, Any]:
        first = {"params": [("bias", params["bias"])], "weight_decay": 0.0}
        groups = [first, {"params": [("weight", params["weight"])]}]
        opt = torch.optim.AdamW(groups, lr=0.01, amsgrad=True, weight_decay=0.1)
        cycle = torch.optim.lr_scheduler.OneCycleLR
        return opt, cycle(opt, max_lr=[0.05, 0.02], total_steps=WHOLE + 1)

    first, alone, again = (oracle_torch.parameters(dtype) for _ in range(3))
    opt, scheduler = build(first)
    legs = [step_in_torch(opt, first, range(LEG), None, scheduler)]
    with jax.enable_x64(dtype == "float64"):
        params = {name: jnp.array(p.detach().numpy()) for name, p in first.items()}
        made = translate(opt, scheduler)
        state = translate_state(opt, params, scheduler=scheduler)
        middle, params, state = step_here(made, params, state, range(LEG, 2 * LEG), dtype)
        back, scheduler = to_torch_optimizer(made, state, params, again, load_weights=True)
    legs += [middle, step_in_torch(back, again, range(2 * LEG, WHOLE), None, scheduler)]
    ours = {name: np.concatenate([leg[name] for leg in legs]) for name in again}
    opt, scheduler = build(alone)
    assert far(ours, step_in_torch(opt, alone, range(WHOLE), None, scheduler), dtype) <= 1


# Optimizers of optax's and ours that torch has: half of the way here, half there


def rate(k: Any) -> Any:
    return 0.01 * 0.99**k


HERE: dict[str, Any] = {
    "optax.adamw": optax.adamw(rate, weight_decay=0.1),
    "optax.adamw without decay of biases": optax.adamw(
        0.01, weight_decay=0.1, mask={"weight": True, "bias": False}
    ),
    "optax.adam": optax.adam(0.01, b1=0.8),
    "optax.sgd": optax.sgd(rate, momentum=0.9, nesterov=True),
    "optax.sgd with decay": optax.chain(optax.add_decayed_weights(0.1), optax.sgd(0.01, 0.5)),
    "optax.rmsprop": optax.rmsprop(0.01, eps_in_sqrt=False, momentum=0.9),
    "optax.rmsprop, centred": optax.rmsprop(rate, decay=0.99, eps_in_sqrt=False, centered=True),
    "optax.adagrad as it comes": optax.adagrad(0.01),
    "optax.adagrad": optax.adagrad(0.01, initial_accumulator_value=0.5, eps=0.0),
    "ours.adagrad": jaxopt_notes.adagrad(0.01, 0.0, 1e-8, eps_in_sqrt=False),
    "ours.adamw": jaxopt_notes.adamw(rate, weight_decay=0.1),
    "ours.momentum": jaxopt_notes.momentum(0.1),
}


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", HERE)
def test_from_here(name: str, dtype: str) -> None:
    made = HERE[name]
    with jax.enable_x64(dtype == "float64"):
        whole = problem.path(made, WHOLE, dtype)
        params = {n: jnp.asarray(p) for n, p in problem.start(dtype).items()}
        state = made.init(params)
        _, params, state = step_here(made, params, state, range(LEG), dtype)
        there = oracle_torch.parameters(dtype)
        opt, scheduler = to_torch_optimizer(made, state, params, there, load_weights=True)
    last = step_in_torch(opt, there, range(LEG, WHOLE), None, scheduler or NoScheduler())
    ours = {n: np.concatenate([whole[n][:LEG], path]) for n, path in last.items()}
    powers = "adam" in name and dtype == "float32"
    assert far(ours, whole, dtype) <= (POWERS if powers else 1)
