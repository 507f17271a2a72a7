"""A run that a torch scheduler drives goes on here as torch goes on, or is refused by name.

The schedulers' values are compared with those that torch sets over a whole run, and trajectories
with torch's own: 25 steps there, then 25 in both, in float64.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_notes import conventions
from jaxopt_notes.conventions import translate, translate_state
from jaxopt_notes.conventions.torch_schedulers import schedules_of, stepped
from jaxopt_notes.errors import InputError

torch = pytest.importorskip("torch", reason="torch is not installed")
torch.set_num_threads(1)  # torch's threads and XLA's disturb each other in one process
of = torch.optim.lr_scheduler

SHAPES = {"a": (3, 2), "b": (4,)}
HALF, WHOLE = 25, 50
GRADIENTS = {
    name: np.random.default_rng(i).normal(0.2, 1.0, (100, *shape))
    for i, (name, shape) in enumerate(SHAPES.items())
}


@pytest.fixture(autouse=True)
def _float64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def warm_up_then(make: Callable[[Any], Any], at: int = 10) -> Callable[[Any], Any]:
    return lambda opt: of.SequentialLR(opt, [of.LinearLR(opt, 0.1, 1.0, at), make(opt)], [at])


# name: the scheduler of an optimizer, and whether it needs total_steps
SCHEDULERS: dict[str, tuple[Callable[[Any], Any], bool]] = {
    "lambda": (lambda o: of.LambdaLR(o, [lambda k: 0.9**k, lambda k: 1 / (1 + k)]), True),
    "multiplicative": (lambda o: of.MultiplicativeLR(o, lambda k: 1 - 1 / (k + 2)), True),
    "step": (lambda o: of.StepLR(o, 7, 0.3), False),
    "multi-step": (lambda o: of.MultiStepLR(o, [3, 9, 9, 40], 0.3), False),
    "constant": (lambda o: of.ConstantLR(o, 0.3, 11), False),
    "linear": (lambda o: of.LinearLR(o, 0.1, 0.7, 30), False),
    "exponential": (lambda o: of.ExponentialLR(o, 0.97), False),
    "polynomial": (lambda o: of.PolynomialLR(o, 40, 2.5), False),
    "cosine": (lambda o: of.CosineAnnealingLR(o, 15, 1e-3), False),
    "warm restarts": (lambda o: of.CosineAnnealingWarmRestarts(o, 13, 1, 1e-3), False),
    "growing restarts": (lambda o: of.CosineAnnealingWarmRestarts(o, 6, 2), True),
    "one cycle": (lambda o: of.OneCycleLR(o, [1.0, 0.5], WHOLE), False),
    "one cycle, three phases": (
        lambda o: of.OneCycleLR(
            o, 0.3, WHOLE, pct_start=0.23, anneal_strategy="linear", three_phase=True
        ),
        False,
    ),
    "one cycle, other momenta": (
        lambda o: of.OneCycleLR(
            o,
            0.3,
            epochs=5,
            steps_per_epoch=11,
            base_momentum=[0.0, 0.5],
            max_momentum=0.99,
            div_factor=3.0,
            final_div_factor=7.0,
        ),
        False,
    ),
    "one cycle of the rate": (lambda o: of.OneCycleLR(o, 0.3, 60, cycle_momentum=False), False),
    "cyclic": (lambda o: of.CyclicLR(o, 0.01, [0.3, 0.2], 13), True),
    "cyclic, halved": (lambda o: of.CyclicLR(o, 0.01, 0.3, 9, 4, mode="triangular2"), True),
    "cyclic, falling": (lambda o: of.CyclicLR(o, 0.01, 0.3, 9, mode="exp_range", gamma=0.9), True),
    "cyclic, own": (
        lambda o: of.CyclicLR(o, 0.01, 0.3, 9, scale_fn=lambda k: 1 / k, scale_mode="cycle"),
        True,
    ),
    "warm-up, cosine": (warm_up_then(lambda o: of.CosineAnnealingLR(o, 30, 1e-3)), False),
    "warm-up, step": (warm_up_then(lambda o: of.StepLR(o, 4, 0.5)), False),
    "warm-up, one cycle": (warm_up_then(lambda o: of.OneCycleLR(o, 0.2, 60)), False),
    "warm-up, multiplicative": (
        warm_up_then(lambda o: of.MultiplicativeLR(o, lambda k: 0.9)),
        True,
    ),
    "chained": (
        lambda o: of.ChainedScheduler([of.ConstantLR(o, 0.1, 20), of.ExponentialLR(o, 0.9)]),
        True,
    ),
    "chained cosine": (
        lambda o: of.ChainedScheduler([of.LinearLR(o, 0.1, 1, 9), of.CosineAnnealingLR(o, 30)]),
        True,
    ),
}
OPTIMIZERS: dict[str, Callable[..., Any]] = {
    "sgd": partial(torch.optim.SGD, momentum=0.9, weight_decay=0.1),
    "nesterov": partial(torch.optim.SGD, momentum=0.9, nesterov=True),
    "dampened": partial(torch.optim.SGD, momentum=0.9, dampening=0.3),
    "rmsprop": partial(torch.optim.RMSprop, momentum=0.9, centered=True),
    "adam": partial(torch.optim.Adam, weight_decay=0.1),
    "amsgrad": partial(torch.optim.Adam, amsgrad=True),
    "adamw": partial(torch.optim.AdamW, weight_decay=0.1),
}


def parameters() -> dict[str, Any]:
    random = np.random.default_rng(9)
    return {n: torch.nn.Parameter(torch.tensor(random.normal(size=s))) for n, s in SHAPES.items()}


def two_groups(params: dict[str, Any], kind: str = "adamw") -> Any:
    groups = [{"params": [("a", params["a"])]}, {"params": [("b", params["b"])], "lr": 0.03}]
    return OPTIMIZERS[kind](groups, lr=0.1)


def in_torch(params: Any, opt: Any, steps: range, scheduler: Any = None, every: int = 1) -> None:
    for k in steps:
        for name, p in params.items():
            p.grad = torch.tensor(GRADIENTS[name][k])
        opt.step()
        if scheduler is not None and (k + 1) % every == 0:
            scheduler.step()


def here(params: dict[str, Any]) -> dict[str, jax.Array]:
    return {name: jnp.array(p.detach().numpy()) for name, p in params.items()}


def in_jax(optimizer: Any, theta: Any, state: Any, steps: range) -> Any:
    @jax.jit
    def step(theta: Any, state: Any, grads: Any) -> Any:
        updates, state = optimizer.update(grads, state, theta)
        return optax.apply_updates(theta, updates), state

    for k in steps:
        theta, state = step(theta, state, {n: g[k] for n, g in GRADIENTS.items()})
    return theta


def same(theta: Any, params: dict[str, Any]) -> None:
    for name, p in params.items():
        np.testing.assert_allclose(theta[name], p.detach().numpy(), rtol=1e-12, atol=1e-12)


def moves(
    params: Any,
    opt: Any,
    scheduler: Any,
    *,
    as_dict: bool = False,
    every: int = 1,
    half: int = HALF,
    steps: int | None = None,
    **keywords: Any,
) -> None:
    """Steps in torch, then 25 in torch and here, which end in the same place."""
    in_torch(params, opt, range(half), scheduler, every)
    theta = here(params)
    source, driver = (opt.state_dict(), scheduler.state_dict()) if as_dict else (opt, scheduler)
    optimizer = translate(source, driver, **keywords)
    state = translate_state(source, theta, scheduler=driver, steps=steps, **keywords)
    assert jax.tree.structure(state) == jax.tree.structure(jax.eval_shape(optimizer.init, theta))
    rest = range(half, half + HALF)
    theta = in_jax(optimizer, theta, state, rest)
    in_torch(params, opt, rest, scheduler, every)
    same(theta, params)


def refused(says: str, call: Callable[..., Any], *args: Any, **keywords: Any) -> None:
    with pytest.raises(InputError, match=says) as error:
        call(*args, **keywords)
    assert "\n" not in str(error.value)


# Learning rates


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
@pytest.mark.parametrize("name", SCHEDULERS)
def test_values_are_those_that_torch_sets_over_a_whole_run(name: str) -> None:
    make, endless = SCHEDULERS[name]
    opt = two_groups(parameters())
    scheduler, rows = make(opt), []
    driven = schedules_of(
        stepped(scheduler, opt, 1, 0, WHOLE if endless else None), opt.param_groups
    )
    for _ in range(WHOLE):
        rows.append([(g["lr"], g["betas"][0]) for g in opt.param_groups])
        opt.step()
        scheduler.step()
    counts = jnp.arange(WHOLE)
    for by, row in zip(driven, np.swapaxes(rows, 0, 1)):
        lr, beta1 = row.T
        np.testing.assert_array_equal(by.lr(counts), lr)
        np.testing.assert_array_equal(0.9 if by.momentum is None else by.momentum(counts), beta1)


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
@pytest.mark.slow
@pytest.mark.parametrize("name", ["exponential", "step", "cosine", "warm restarts", "linear"])
def test_values_go_on_after_the_table(name: str) -> None:
    steps = 9000
    opt = torch.optim.SGD([torch.nn.Parameter(torch.zeros(2))], lr=1.0)
    scheduler = {
        "exponential": lambda: of.ExponentialLR(opt, 0.9993),
        "step": lambda: of.StepLR(opt, 700, 0.3),
        "cosine": lambda: of.CosineAnnealingLR(opt, 300, 1e-3),
        "warm restarts": lambda: of.CosineAnnealingWarmRestarts(opt, 300),
        "linear": lambda: of.LinearLR(opt, 0.1, 0.7, 30),
    }[name]()
    [by] = schedules_of(stepped(scheduler, opt, 1, 0, None), opt.param_groups)
    expected = []
    for _ in range(steps):
        expected.append(opt.param_groups[0]["lr"])
        scheduler.step()
    np.testing.assert_allclose(by.lr(jnp.arange(steps)), expected, rtol=1e-12, atol=1e-13)
    with jax.enable_x64(False):
        values = by.lr(jnp.arange(steps))
        assert values.dtype == jnp.float32
        np.testing.assert_allclose(values, expected, rtol=2e-6, atol=1e-9)


def test_after_the_last_step_the_learning_rate_is_nan() -> None:
    opt = two_groups(parameters())
    cycle, falling = of.OneCycleLR(opt, 1.0, 20, cycle_momentum=False), None
    by, _ = schedules_of(stepped(cycle, opt, 1, 0, None), opt.param_groups)
    counts = jnp.arange(WHOLE)
    assert np.isnan(by.lr(counts)).tolist() == [False] * 21 + [True] * (WHOLE - 21)
    opt = two_groups(parameters())
    falling = of.LambdaLR(opt, lambda k: 0.9**k)
    by, _ = schedules_of(stepped(falling, opt, 5, 0, 20), opt.param_groups)
    assert np.isnan(by.lr(counts)).tolist() == [False] * 20 + [True] * (WHOLE - 20)


# Trajectories


@pytest.mark.parametrize("kind", ["nesterov", "rmsprop", "adamw"])
def test_one_cycle_with_its_momentum_goes_on(kind: str) -> None:
    params = parameters()
    opt = two_groups(params, kind)
    moves(params, opt, of.OneCycleLR(opt, [0.05, 0.1], WHOLE))


def test_a_warm_up_and_a_cosine_go_on_from_state_dicts() -> None:
    params = parameters()
    opt = two_groups(params, "sgd")
    moves(params, opt, SCHEDULERS["warm-up, cosine"][0](opt), as_dict=True)


def test_functions_of_the_step_go_on_each_in_its_group() -> None:
    params = parameters()
    opt = two_groups(params)
    moves(params, opt, SCHEDULERS["lambda"][0](opt), total_steps=WHOLE)


@pytest.mark.slow
@pytest.mark.parametrize("as_dict", [False, True], ids=["object", "state_dict"])
@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("name", SCHEDULERS)
def test_every_scheduler_goes_on(name: str, kind: str, as_dict: bool) -> None:
    make, endless = SCHEDULERS[name]
    params = parameters()
    opt = two_groups(params, kind)
    if as_dict and any(name.endswith(x) for x in ("lambda", "multiplicative")) | ("cyclic" in name):
        pytest.skip("its state_dict lacks the functions")
    moves(params, opt, make(opt), as_dict=as_dict, total_steps=WHOLE if endless else None)


def test_groups_that_are_driven_alike_are_one() -> None:
    params = parameters()
    groups = [{"params": [named]} for named in params.items()]
    opt = torch.optim.SGD(groups, lr=torch.tensor(0.1, dtype=torch.float64))
    scheduler = of.OneCycleLR(opt, 0.05, WHOLE)
    assert not hasattr(translate(opt, scheduler).init(here(params)), "inner_states")
    moves(params, opt, scheduler)


def test_a_momentum_that_falls_to_0() -> None:
    """There torch leaves the velocity as it was."""
    params = parameters()
    opt = two_groups(params, "nesterov")
    moves(params, opt, of.OneCycleLR(opt, 0.05, 52, pct_start=0.5, base_momentum=0.0))


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_a_momentum_keeps_the_dtypes(kind: str) -> None:
    build = {
        "sgd": partial(
            conventions.torch.sgd, momentum=lambda count: jnp.asarray([0.9, 0.8])[count]
        ),
        "adam": partial(conventions.torch.adam, betas=(lambda k: jnp.asarray([0.9, 0.8])[k], 0.99)),
    }[kind]
    theta = {"half": np.ones(3, jnp.bfloat16), "full": np.ones(3, np.float32), "none": None}
    optimizer = build(lr=0.1)
    state = jax.eval_shape(optimizer.init, theta)
    updates, new = jax.eval_shape(optimizer.update, theta, state, theta)
    for one, other in ((updates, theta), (new, state)):
        assert [x.dtype for x in jax.tree.leaves(one)] == [x.dtype for x in jax.tree.leaves(other)]


# Two counts


@pytest.mark.parametrize(("kind", "half"), [("sgd", 24), ("adamw", 27)])
def test_a_scheduler_that_is_stepped_once_an_epoch(kind: str, half: int) -> None:
    params = parameters()
    opt = two_groups(params, kind)
    steps = half if kind == "sgd" else None
    moves(params, opt, of.StepLR(opt, 2, 0.5), every=8, half=half, steps=steps, scheduler_every=8)


def test_a_scheduler_that_is_not_where_the_optimizer_is_is_refused() -> None:
    params = parameters()
    opt = two_groups(params)
    scheduler = of.ExponentialLR(opt, 0.9)
    in_torch(params, opt, range(20), scheduler, every=10)
    says = "the scheduler has taken 2 steps, the optimizer 20: pass scheduler_every=N .*=-18 if"
    refused(says, translate, opt, scheduler)
    refused(says, translate_state, opt, here(params), scheduler=scheduler)
    translate(opt, scheduler, scheduler_every=10)
    in_torch(params, opt, range(20, 30))
    refused("taken 2 steps, the optimizer 30", translate, opt, scheduler, scheduler_every=10)
    sgd = two_groups(params, "sgd")
    scheduler = of.ExponentialLR(sgd, 0.9)
    in_torch(params, sgd, range(20), scheduler, every=10)
    by_epoch = {"scheduler": scheduler, "scheduler_every": 10}
    refused("every 10th: pass steps=", translate_state, sgd, here(params), **by_epoch)
    refused("2 steps, the optimizer 30", translate_state, sgd, here(params), steps=30, **by_epoch)


@pytest.mark.parametrize(("kind", "ahead"), [("sgd", 3), ("adam", -9)])
def test_a_scheduler_that_is_ahead_of_the_optimizer_or_began_later(kind: str, ahead: int) -> None:
    params = parameters()
    opt = two_groups(params, kind)
    if ahead < 0:
        in_torch(params, opt, range(-ahead))
    scheduler = SCHEDULERS["warm-up, cosine"][0](opt)
    if ahead > 0:
        opt.step()  # without gradients nothing happens, as where GradScaler skips a step
        for _ in range(ahead):
            scheduler.step()
    first = max(0, -ahead)
    in_torch(params, opt, range(first, first + 20), scheduler)
    theta = here(params)
    keywords = {"scheduler": scheduler, "scheduler_ahead": ahead}
    optimizer, state = translate(opt, **keywords), translate_state(opt, theta, **keywords)
    rest = range(first + 20, first + 45)
    theta = in_jax(optimizer, theta, state, rest)
    in_torch(params, opt, rest, scheduler)
    same(theta, params)


def test_a_parameter_without_gradients_has_its_own_count_and_the_cycle_of_all() -> None:
    """It has none in the first steps in torch, and none in some steps here."""
    params = parameters()
    opt = two_groups(params, "adam")
    scheduler = of.OneCycleLR(opt, 0.05, WHOLE)
    in_torch({"a": params["a"]}, opt, range(9), scheduler)
    in_torch(params, opt, range(9, HALF), scheduler)
    theta = here(params)
    optimizer, state = translate(opt, scheduler), translate_state(opt, theta, scheduler=scheduler)
    update = jax.jit(optimizer.update)
    for k in range(HALF, HALF + 4):
        grads = {"a": GRADIENTS["a"][k], "b": None}
        updates, state = update(grads, state, theta)
        theta["a"] = np.asarray(theta["a"]) + np.asarray(updates["a"])
    params["b"].grad = None
    in_torch({"a": params["a"]}, opt, range(HALF, HALF + 4), scheduler)
    rest = range(HALF + 4, WHOLE)
    theta = in_jax(optimizer, theta, state, rest)
    in_torch(params, opt, rest, scheduler)
    same(theta, params)


# What has no equivalent here


def test_what_only_functions_know_needs_an_end() -> None:
    opt = two_groups(parameters())
    scheduler = of.LambdaLR(opt, lambda k: 0.9**k)
    refused("how this LambdaLR goes on; pass total_steps=", translate, opt, scheduler)
    for name in ("lambda", "warm-up, multiplicative", "cyclic"):
        other = two_groups(parameters())
        state = SCHEDULERS[name][0](other).state_dict()
        says = "LR's state_dict does not hold its functions; pass the scheduler"
        refused(says, translate, other, state, total_steps=9)
    scheduler.last_epoch = 5
    refused("total_steps=5: the scheduler has taken 5", translate, opt, scheduler, total_steps=5)


def test_others_are_refused_by_name() -> None:
    class Own(of.ExponentialLR):
        pass

    opt = two_groups(parameters())
    for scheduler, name in [
        (of.ReduceLROnPlateau(opt), "lr_scheduler.ReduceLROnPlateau"),
        (torch.optim.swa_utils.SWALR(opt, 0.1), "swa_utils.SWALR"),
        (Own(opt, 0.9), "Own"),
        (3, "builtins.int"),
        ({**of.ExponentialLR(opt, 0.9).state_dict(), "warm": 3}, "state_dict of gamma, warm"),
        ({}, "state_dict of nothing"),
    ]:
        refused(
            rf"scheduler: .*{name} has no equivalent here; pass lr=\[", translate, opt, scheduler
        )
    nested = of.ChainedScheduler([SCHEDULERS["warm-up, step"][0](opt)])
    refused("schedulers that hold others", translate, opt, nested, total_steps=9)


def test_a_scheduler_of_another_optimizer_is_refused() -> None:
    opt, other = two_groups(parameters()), torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], 0.1)
    refused("it drives another optimizer", translate, opt, of.ExponentialLR(other, 0.9))
    state = of.ExponentialLR(other, 0.9).state_dict()
    refused("it drives 1 param groups, the optimizer has 2", translate, opt, state)
    cycle = of.OneCycleLR(two_groups(parameters()), 0.1, 9).state_dict()
    refused("OneCycleLR keeps .* and param group 0 has none", translate, opt, cycle)


def test_a_learning_rate_that_something_else_changes_is_refused() -> None:
    params = parameters()
    opt = two_groups(params)
    two = [of.ExponentialLR(opt, 0.9), of.StepLR(opt, 3)]
    for k in range(4):
        in_torch(params, opt, range(k, k + 1), two[0])
        two[1].step()
    refused("lr=0.006561 where the scheduler is at 0.0656.* something else", translate, opt, two[0])
    opt = two_groups(params)
    cycle = of.OneCycleLR(opt, 0.1, 9)
    opt.param_groups[1]["betas"] = (0.5, 0.999)
    refused("beta1=0.5 where the scheduler is at 0.95", translate, opt, cycle)


def test_one_says_the_learning_rate() -> None:
    opt = two_groups(parameters())
    scheduler = of.ExponentialLR(opt, 0.9)
    refused("lr and scheduler both", translate, opt, scheduler, lr=[0.1, 0.1])
    refused("belong to a scheduler", translate, opt, total_steps=9)
    refused("scheduler_every=0: must be", translate, opt, scheduler, scheduler_every=0)
    refused("total_steps=1.5: must be", translate, opt, scheduler, total_steps=1.5)
    refused("scheduler belongs to a torch optimizer", translate, {"momentum": 0.9}, scheduler)
