"""`prove` on torch's own checkpoints: a right move is equal, and each planted error is caught."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_notes.conventions import torch as conventions
from jaxopt_notes.conventions import translate, translate_state
from jaxopt_notes.errors import InputError
from jaxopt_notes.transfer import prove

torch = pytest.importorskip("torch", reason="torch is not installed")

BEFORE, STEPS = 6, 12
NAMES = ["0.weight", "0.bias", "1.weight", "1.bias"]


TRANSLATED: dict[str, optax.GradientTransformation] = {}  # equal moves share compiled steps


class Moved(NamedTuple):
    """A torch run and what was made of it."""

    module: Any
    optimizer: Any
    scheduler: Any
    tx: optax.GradientTransformation
    state: Any
    params: Any

    def proof(self, **keywords: Any) -> Any:
        keywords = {"steps": STEPS, "names": self.module, "arrange": arrange, **keywords}
        keywords = {"scheduler": self.scheduler, **keywords}
        return prove(self.optimizer, self.tx, self.state, self.params, **keywords)


def arrange(of: Any) -> Any:
    return {
        name: {"kernel": of[f"{name}.weight"].T, "bias": of[f"{name}.bias"]} for name in ("0", "1")
    }


def moved(
    kind: str = "AdamW",
    schedule: Callable[[Any], Any] | None = None,
    double: bool = False,
    groups: Callable[[Any], Any] | None = None,
    every: int = 1,
    total: int | None = None,
    **keywords: Any,
) -> Moved:
    """A small network after six steps in torch, moved by `translate`."""
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 4))
    module = module.double() if double else module
    made = groups(module) if groups else module.parameters()
    optimizer = getattr(torch.optim, kind)(made, **keywords)
    scheduler = None if schedule is None else schedule(optimizer)
    images = torch.randn(8, 4, dtype=torch.float64 if double else torch.float32)
    for k in range(1, BEFORE + 1):
        optimizer.zero_grad()
        module(images).square().mean().backward()
        optimizer.step()
        if scheduler is not None and k % every == 0:
            scheduler.step()
    with jax.enable_x64(double):
        arrays = {name: p.detach().numpy() for name, p in module.named_parameters()}
        params = jax.tree.map(jnp.array, arrange(arrays))
        of = {"scheduler": scheduler, "arrange": arrange, "names": module}
        of |= {"scheduler_every": every, "total_steps": total}
        steps = None if scheduler is None else BEFORE
        state = translate_state(optimizer, params, steps=steps, **of)
        if groups is not None or schedule is not None:
            tx = translate(optimizer, **of)
        else:
            key = f"{kind} {double} {keywords}"
            tx = TRANSLATED[key] = TRANSLATED.get(key) or translate(optimizer, **of)
        return Moved(module, optimizer, scheduler, tx, state, params)


def step_lr(optimizer: Any) -> Any:
    return torch.optim.lr_scheduler.StepLR(optimizer, 4, 0.5)


def two_groups(module: Any) -> Any:
    return [
        {"params": module[0].parameters(), "lr": 0.01},
        {"params": module[1].parameters(), "weight_decay": 0.0},
    ]


# What was moved right


@pytest.mark.parametrize(
    ("kind", "keywords"),
    [
        ("AdamW", {"amsgrad": True}),
        ("SGD", {"momentum": 0.9, "dampening": 0.1, "weight_decay": 0.1, "maximize": True}),
        ("AdamW", {"double": True, "groups": two_groups, "schedule": step_lr}),
    ],
)
def test_a_translated_run_is_equal(kind: str, keywords: dict[str, Any]) -> None:
    proof = moved(kind, lr=1e-3, **keywords).proof()
    assert proof.equal, str(proof)
    assert proof.first is None
    assert proof.units <= 8
    assert str(proof).startswith(f"equal: {STEPS} steps of 4 parameters in float")
    assert proof.drift["0.kernel"].step.shape == (STEPS,)


def taken_up(run: Moved, tx: optax.GradientTransformation) -> Moved:
    """The run with another transformation, and torch's moments and counts in its state."""
    state = tx.init(run.params)
    for field in ("mu", "nu", "trace", "count"):
        value = optax.tree_utils.tree_get(run.state, field)
        if value is not None and optax.tree_utils.tree_get_all_with_path(state, field):
            state = optax.tree_utils.tree_set(state, **{field: value})
    return run._replace(tx=tx, state=state)


def test_optax_s_own_adamw_differs_by_rounding_alone() -> None:
    run = moved(lr=1e-3)
    keywords = {"learning_rate": 1e-3, "weight_decay": 1e-2}
    own = taken_up(run, optax.adamw(**keywords))
    injected = optax.inject_hyperparams(optax.adamw)(**keywords)
    state = injected.init(run.params)
    proof = own.proof()
    assert proof.equal, str(proof)
    # tree_set leaves the moments' own count at 0, where the state around them has a count too.
    proof = taken_up(run, injected).proof()
    assert "the count of ScaleByAdamState is 0, and torch's is 6" in str(proof)
    proof = own._replace(tx=injected, state=state._replace(inner_state=own.state)).proof()
    assert proof.equal, str(proof)


def test_the_user_s_own_objects_stay_as_they_are() -> None:
    run = moved(lr=1e-3, schedule=step_lr)
    run.module[0].weight.grad.fill_(3.0)
    objects = (run.optimizer, run.scheduler, run.module)
    before = [copy.deepcopy(of.state_dict()) for of in objects]
    random = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    leaves = [np.array(x) for x in jax.tree.leaves((run.state, run.params))]
    assert run.proof().equal
    for of, dictionary in zip(objects, before):
        assert str(of.state_dict()) == str(dictionary)
    assert (run.module[0].weight.grad == 3.0).all()
    assert torch.equal(torch.random.get_rng_state(), random[0])
    np.testing.assert_array_equal(np.random.get_state()[1], random[1])
    jax.tree.map(np.testing.assert_array_equal, leaves, jax.tree.leaves((run.state, run.params)))


# Each silent error of a move, planted


def other_tx(kind: str, tx: Callable[[], Any], **keywords: Any) -> Callable[[], Moved]:
    """The right state in another transformation."""

    def plant() -> Moved:
        return taken_up(moved(kind, lr=1e-3, **keywords), tx())

    return plant


def other_state(
    change: Callable[[Any], Any], kind: str = "AdamW", **keywords: Any
) -> Callable[[], Moved]:
    """The right transformation with another state."""

    def plant() -> Moved:
        run = moved(kind, **{"lr": 1e-3, **keywords})
        return run._replace(state=(change(run.state[0]), *run.state[1:]))

    return plant


def scaled(tree: Any, factor: float) -> Any:
    return jax.tree.map(lambda x: factor * np.asarray(x), tree)


def adam(**keywords: Any) -> Callable[[], Any]:
    return lambda: conventions.adamw(**{"lr": 1e-3, **keywords})


def swapped(tree: Any) -> Any:
    return {"0": tree["1"], "1": tree["0"]}


def transposed(tree: Any) -> Any:
    return jax.tree.map(lambda x: np.asarray(x).T, tree)


def narrowed(tree: Any) -> Any:
    return jax.tree.map(lambda x: x.astype(jnp.bfloat16).astype(x.dtype), tree)


def eps_inside() -> optax.GradientTransformation:
    return optax.adamw(1e-3, eps=0.0, eps_root=1e-8, weight_decay=1e-2)


def of_one_group() -> Moved:
    run = moved("SGD", lr=1e-3, momentum=0.9, groups=two_groups)
    one = conventions.sgd(1e-3, momentum=0.9)
    trace = run.state.inner_states[0].inner_state[0].trace["0"]
    other = run.state.inner_states[1].inner_state[0].trace["1"]
    state = optax.tree_utils.tree_set(one.init(run.params), trace={"0": trace, "1": other})
    return run._replace(tx=one, state=state)


def with_schedule(schedule: Callable[[Any], Any]) -> Callable[[], Moved]:
    def plant() -> Moved:
        run = moved("SGD", lr=0.1, schedule=step_lr)
        return taken_up(run, conventions.sgd(schedule))

    return plant


def frozen_here_not() -> Moved:
    run = moved(lr=1e-3)
    run.module[0].weight.requires_grad_(False)
    return run


FAULTS: dict[str, tuple[Callable[[], Moved], str]] = {
    "fresh moments": (
        other_state(lambda s: s._replace(mu=scaled(s.mu, 0.0), nu=scaled(s.nu, 0.0))),
        "mu of '0.bias', '0.kernel', '1.bias' and 1 more is 0, and torch's is not",
    ),
    "count reset": (
        other_state(lambda s: s._replace(count=0 * s.count)),
        "count of ScaleByAdamState is 0, and torch's is 6",
    ),
    "count off by one": (
        other_state(lambda s: s._replace(count=s.count + 1)),
        "count of ScaleByAdamState is 7, and torch's is 6",
    ),
    "moments not transposed": (
        other_state(lambda s: s._replace(mu=transposed(s.mu), nu=transposed(s.nu))),
        "mu of '0.kernel', '1.kernel' is torch's transposed",
    ),
    "layers swapped in the moments": (
        other_state(lambda s: s._replace(mu=swapped(s.mu), nu=swapped(s.nu))),
        "mu of '0.kernel' is torch's of '1.kernel'",
    ),
    "moments in bfloat16": (
        other_state(lambda s: s._replace(mu=narrowed(s.mu), nu=narrowed(s.nu))),
        "is torch's rounded to bfloat16",
    ),
    "momentum times 1 − β": (
        other_state(lambda s: s._replace(trace=scaled(s.trace, 0.1)), "SGD", momentum=0.9),
        "trace of '0.bias', '0.kernel', '1.bias' and 1 more is 0.1 times torch's",
    ),
    "AMSGrad's maximum lost": (
        other_state(lambda s: s._replace(nu_max=scaled(s.nu_max, 0.0)), amsgrad=True),
        "nu_max of",
    ),
    "ε inside": (other_tx("AdamW", eps_inside), ""),
    "β swapped": (other_tx("AdamW", adam(betas=(0.999, 0.9))), ""),
    "λ of another default": (other_tx("AdamW", adam(weight_decay=1e-4)), ""),
    "λ 1e-4 in place of 0": (
        other_tx("AdamW", adam(weight_decay=1e-4), weight_decay=0.0),
        "",
    ),
    "decay coupled": (
        other_tx("AdamW", lambda: conventions.adam(1e-3, weight_decay=1e-2)),
        "",
    ),
    "learning rate of another group": (of_one_group, "0.kernel first differs"),
    "dampening lost": (
        other_tx("SGD", lambda: conventions.sgd(1e-3, momentum=0.9), momentum=0.9, dampening=0.5),
        "",
    ),
    "maximize lost": (other_tx("SGD", lambda: conventions.sgd(1e-3), maximize=True), ""),
    "scheduler lost": (with_schedule(lambda count: 0.05), ""),
    "scheduler one step late": (with_schedule(lambda count: 0.1 * 0.5 ** ((count - 1) // 4)), ""),
    "a frozen parameter moves": (frozen_here_not, "0.kernel"),
}
QUICK = ("count off by one", "λ 1e-4 in place of 0", "scheduler one step late")


def caught(fault: str) -> None:
    plant, words = FAULTS[fault]
    run = plant()
    proof = run.proof()
    assert not proof.equal
    assert not proof.start
    assert proof.first is not None
    assert str(proof).startswith(
        f"NOT equal: {proof.first.parameter} first differs from torch at step "
    )
    assert proof.first.share > 1e-6
    assert words in str(proof)


@pytest.mark.parametrize("fault", QUICK)
def test_a_planted_error_is_caught(fault: str) -> None:
    caught(fault)


@pytest.mark.slow
@pytest.mark.parametrize("fault", sorted(set(FAULTS) - set(QUICK)))
def test_each_planted_error_is_caught(fault: str) -> None:
    caught(fault)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (swapped, "at the start, '0.bias' is torch's of '1.bias'"),
        (transposed, "at the start, '0.kernel', '1.kernel' is torch's transposed"),
        (lambda tree: scaled(tree, 2.0), "is 2 times torch's"),
        (lambda tree: jax.tree.map(lambda x: np.asarray(x) + 1e-6, tree), "differs from torch's"),
    ],
)
def test_other_weights_at_the_start_are_named(change: Any, words: str) -> None:
    run = moved(lr=1e-3)
    proof = run._replace(params=change(run.params)).proof(steps=2)
    assert not proof.equal
    assert proof.first is None
    assert str(proof).startswith("NOT equal: at the start, '0.")
    assert words in str(proof)


def test_a_narrowed_dtype_is_named_before_any_step() -> None:
    run = moved(lr=1e-3, double=True)
    narrow = jax.tree.map(lambda x: np.asarray(x, np.float32), run.params)
    proof = run._replace(params=narrow).proof()
    assert str(proof).startswith(
        "NOT equal: at the start, '0.bias' is float32 here and float64 in torch"
    )
    assert proof.drift == {}


@pytest.mark.parametrize("shape", [(), (1,), (2,), (3,), (1, 2)])
def test_a_parameter_of_few_elements_is_told_apart(shape: tuple[int, ...]) -> None:
    p = torch.nn.Parameter(torch.ones(shape))
    params = [np.ones(shape, np.float32)]
    for rate, equal in ((0.1, True), (0.2, False)):
        tx = optax.sgd(rate)
        proof = prove(torch.optim.SGD([p], lr=0.1), tx, tx.init(params), params, steps=1)
        assert bool(proof.equal) is equal


def test_a_layer_that_the_optimizer_does_not_have_stays() -> None:
    run = moved("SGD", lr=0.1)
    run.optimizer.param_groups[0]["params"] = list(run.module[1].parameters())
    frozen = {"0": "none", "1": "sgd"}
    tx = optax.partition({"none": optax.set_to_zero(), "sgd": optax.sgd(0.1)}, frozen)
    assert run._replace(tx=tx, state=tx.init(run.params)).proof(steps=3).equal
    proof = run._replace(tx=optax.sgd(0.1), state=optax.sgd(0.1).init(run.params)).proof(steps=3)
    assert {each.parameter for each in proof.departures} == {"0.kernel", "0.bias"}


def test_sixteen_bits_are_compared_too() -> None:
    torch.manual_seed(0)
    module = torch.nn.Linear(4, 4).to(torch.bfloat16)
    optimizer = torch.optim.SGD(module.named_parameters(), lr=0.1, momentum=0.9)
    values = {
        n: jax.device_put(p.detach().float().numpy().astype(jnp.bfloat16))
        for n, p in module.named_parameters()
    }
    tx = conventions.sgd(0.1, momentum=0.9)
    proof = prove(optimizer, tx, tx.init(values), values, steps=5)
    assert proof.equal, str(proof)
    assert proof.about["dtype"] == "bfloat16"


# Gradients of the user's own


def test_a_given_gradient_may_be_missing() -> None:
    run = moved("SGD", lr=0.1, momentum=0.9)

    def without(step: int) -> dict[str, Any]:
        return {n: np.ones(p.shape) for n, p in run.module.named_parameters() if n != "1.bias"}

    proof = run.proof(gradients=without, steps=3)
    # jax.grad gives zeros, by which momentum still moves the parameter; torch leaves it alone.
    assert {each.parameter for each in proof.departures} == {"1.bias"}
    for wrong in (lambda step: {"head": np.ones(2)}, lambda step: {"1.bias": np.ones(3)}):
        with pytest.raises(InputError, match=r"gradients: '(head|1\.bias)'"):
            run.proof(gradients=wrong)


BATCHES = list(np.random.default_rng(3).normal(size=(4, 8, 4)).astype(np.float32))


def torch_loss(module: Any, batch: Any) -> Any:
    return module(torch.tensor(batch)).square().mean()


@jax.jit
def jax_loss(params: Any, batch: Any) -> Any:
    hidden = batch @ params["0"]["kernel"] + params["0"]["bias"]
    return jnp.square(hidden @ params["1"]["kernel"] + params["1"]["bias"]).mean()


@jax.jit
def half_of_it(params: Any, batch: Any) -> Any:
    return 0.5 * jax_loss(params, batch)


def test_losses_compare_the_gradients_apart_from_the_optimizers() -> None:
    run = moved(lr=1e-3)
    grad = run.module[0].weight.grad.clone()
    proof = run.proof(batches=BATCHES, losses=(torch_loss, jax_loss))
    assert proof.equal, str(proof)
    assert proof.about["steps"] == len(BATCHES)
    assert proof.gradients["0.kernel"].shape == (4,)
    assert max(far.max() for far in proof.gradients.values()) < 1e-5
    assert torch.equal(run.module[0].weight.grad, grad)
    half = run.proof(batches=BATCHES, losses=(torch_loss, half_of_it))
    assert not half.equal
    assert half.first is None
    assert "the gradient of '0.bias' differs from torch's at step 1, by 0.5 of its" in str(half)


# The certificate, and what is refused


def test_the_certificate_is_json_and_markdown(tmp_path: Path) -> None:
    schedule = lambda of: torch.optim.lr_scheduler.StepLR(of, 1000)  # noqa: E731
    run = moved("SGD", lr=1e-3, schedule=schedule)
    proof = run.proof()
    assert "the scheduler changed no learning rate in these steps" in str(proof)
    as_json, as_markdown = proof.write(tmp_path)
    content = json.loads(as_json.read_text())
    assert content["equal"] is True
    assert content["verdict"] == str(proof).splitlines()[0]
    assert content["scheduler"] == "StepLR"
    assert content["versions"].keys() >= {"torch", "jax", "optax", "jaxopt_notes"}
    rows = {row["parameter"]: row for row in content["parameters"]}
    assert rows["0.kernel"]["in_torch"] == "0.weight"
    assert len(content["step_by_step"]["0.kernel"]) == STEPS
    assert "| 0.kernel | 0.weight | " in as_markdown.read_text()
    diverged = taken_up(run, optax.sgd(np.nan)).proof(steps=1)
    as_json, _ = diverged.write(tmp_path)
    assert json.loads(as_json.read_text())["parameters"][0]["step"] == "inf"


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"steps": 0}, "steps=0: pass at least 1"),
        ({"batches": []}, "batches and losses: pass both or neither"),
        ({"losses": (torch_loss, jax_loss), "batches": []}, "batches: is empty"),
        (
            {"losses": (torch_loss, jax_loss), "batches": [], "names": NAMES},
            "the losses need the torch module",
        ),
        ({"names": NAMES[:2]}, "names has 2 entries, the optimizer 4 parameters"),
        ({"names": torch.nn.Linear(2, 2)}, "steps a parameter that has no name"),
        (
            {"arrange": lambda of: {"0": of["0.weight"]}},
            "a tree with a different structure from params",
        ),
        (
            {"arrange": lambda of: arrange({**of, "0.bias": of["0.bias"][:2]})},
            r"'0.bias' has shape \(4,\), torch's \(2,\)",
        ),
    ],
)
def test_arguments_that_do_not_fit_are_refused(keywords: dict[str, Any], words: str) -> None:
    run = moved(lr=1e-3)
    with pytest.raises(InputError, match=words) as error:
        run.proof(**keywords)
    assert "\n" not in str(error.value)


def test_what_cannot_be_stepped_is_refused() -> None:
    run = moved(lr=1e-3)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(run.optimizer)
    with pytest.raises(InputError, match="ReduceLROnPlateau needs a metric"):
        run.proof(scheduler=plateau)
    with pytest.raises(InputError, match="a dict is not a torch optimizer"):
        run._replace(optimizer={}).proof()
    with pytest.raises(InputError, match="is not an optax"):
        run._replace(tx=None).proof()


@pytest.mark.parametrize(("kind", "keywords"), [("SGD", {"momentum": 0.9}), ("Adam", {})])
def test_a_scheduler_that_is_stepped_once_an_epoch(kind: str, keywords: dict[str, Any]) -> None:
    schedule = lambda of: torch.optim.lr_scheduler.StepLR(of, 1, 0.5)  # noqa: E731
    run = moved(kind, schedule, every=3, lr=0.1, **keywords)
    assert run.proof(scheduler_every=3).equal
    assert run.proof().first.step == 2  # as if it were stepped at each step
    assert "pass scheduler= to step it here too" in str(run.proof(scheduler=None))
    fresh = run._replace(state=run.tx.init(run.params)).proof(scheduler_every=3)
    assert f"the count of ScaleByScheduleState is 0, and torch's is {BEFORE}" in fresh.hints


def test_a_table_of_learning_rates_ends_with_total_steps() -> None:
    schedule = lambda of: torch.optim.lr_scheduler.LambdaLR(of, lambda k: 0.9**k)  # noqa: E731
    total = BEFORE + 4
    run = moved("AdamW", schedule, total=total, lr=1e-3)
    proof = run.proof(total_steps=total)
    assert proof.equal
    assert proof.about["steps"] == 4
    too_long = run.proof()
    assert too_long.first.step == 5
    assert "as a learning rate after total_steps= is" in str(too_long)
    fresh = run._replace(state=run.tx.init(run.params)).proof(total_steps=total)
    assert any(hint.startswith("mu of") for hint in fresh.hints)
    with pytest.raises(InputError, match="belong to a scheduler: pass scheduler= too"):
        run.proof(scheduler=None, total_steps=total)
