"""An optimizer here becomes torch's: settings, groups, state, schedule; or it is refused."""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_notes import conventions
from jaxopt_notes.conventions import translate, translate_state
from jaxopt_notes.errors import InputError
from jaxopt_notes.transfer import as_tensors, to_torch_optimizer, to_torch_state

torch = pytest.importorskip("torch", reason="torch is not installed")

KINDS: dict[str, dict[str, Any]] = {
    "SGD": {"momentum": 0.9, "weight_decay": 0.1, "nesterov": True},
    "Adagrad": {"lr_decay": 0.1, "initial_accumulator_value": 0.2, "eps": 1e-3},
    "RMSprop": {"momentum": 0.9, "centered": True, "alpha": 0.95},
    "Adam": {"amsgrad": True, "maximize": True},
    "AdamW": {"weight_decay": 0.1, "betas": (0.8, 0.99)},
}


def network(dtype: Any = None) -> Any:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 2)).to(dtype)


def arrange(of: Any) -> Any:
    return [{"kernel": of[f"{i}.weight"].T, "bias": of[f"{i}.bias"]} for i in range(2)]


def here(module: Any) -> Any:
    values = {name: p.detach().numpy().copy() for name, p in module.named_parameters()}
    return jax.tree.map(jnp.asarray, arrange(values))


def step(module: Any, opt: Any, steps: int = 1) -> None:
    for _ in range(steps):
        opt.zero_grad()
        (module(torch.ones(4, 3, dtype=next(module.parameters()).dtype)) ** 2).sum().backward()
        opt.step()


def same(a: Any, b: Any) -> None:
    """Equal in every bit and type."""
    if isinstance(b, torch.Tensor):
        assert (a.dtype, a.shape, a.device) == (b.dtype, b.shape, b.device)
        assert torch.equal(a, b)
    elif isinstance(b, dict):
        assert a.keys() == b.keys()
        for key in b:
            same(a[key], b[key])
    elif isinstance(b, (list, tuple)):
        assert len(a) == len(b)
        for x, y in zip(a, b):
            same(x, y)
    else:
        assert a == b


def refused(says: str, call: Any, *args: Any, **keywords: Any) -> None:
    with pytest.raises(InputError, match=says) as error:
        call(*args, **keywords)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("named", [True, False], ids=["named", "by number"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_state_dict_comes_back_bit_for_bit(kind: str, named: bool) -> None:
    module = network()
    parameters = module.named_parameters() if named else module.parameters()
    opt = getattr(torch.optim, kind)(parameters, lr=0.01, **KINDS[kind])
    step(module, opt, 3)
    params = here(module)
    state = translate_state(opt, params, names=module, arrange=arrange)
    factory = getattr(conventions.torch, kind.lower()), {"lr": 0.01, **KINDS[kind]}
    keywords = {"steps": 3} if kind == "RMSprop" else {}  # whose steps depend on no count
    there = to_torch_state(factory, state, params, names=module, arrange=arrange, **keywords)
    expected = opt.state_dict()
    if not named:
        (group,) = there["param_groups"]
        assert group.pop("param_names") == [name for name, _ in module.named_parameters()]
    same(as_tensors(there), expected)
    fresh = getattr(torch.optim, kind)(network().parameters())
    fresh.load_state_dict(as_tensors(there))
    made, _ = to_torch_optimizer(factory, state, params, module, arrange=arrange, **keywords)
    assert type(made) is type(opt)
    for one in (fresh, made):
        same(one.state_dict()["state"], expected["state"])


def factory(**keywords: Any) -> Any:
    return partial(conventions.torch.adamw, **{"lr": 0.01, **keywords})


def run_here(made: Any, params: Any, steps: int = 3, state: Any = None, jit: bool = False) -> Any:
    """(params, state) after some steps with gradients that are the parameters."""
    optimizer = made()
    state = optimizer.init(params) if state is None else state

    def take(params: Any, state: Any) -> Any:
        updates, state = optimizer.update(params, state, params)
        return jax.tree.map(jnp.add, params, updates), state

    take = jax.jit(take) if jit else take
    for _ in range(steps):
        params, state = take(params, state)
    return params, state


def step_alike(params: dict[str, Any], opt: Any, scheduler: Any, steps: int) -> list[list[float]]:
    """The same steps in torch; the learning rate of each."""
    rates = []
    for _ in range(steps):
        rates.append([group["lr"] for group in opt.param_groups])
        for p in params.values():
            p.grad = p.detach().clone()
        opt.step()
        if scheduler is not None:
            scheduler.step()
    return rates


def parameters(params: dict[str, Any], dtype: Any = None) -> dict[str, Any]:
    """A module's, in its order: JAX sorts the keys of a dict."""
    tensors = as_tensors({name: np.asarray(params[name]) for name in ("weight", "bias")})
    return {name: torch.nn.Parameter(p.to(dtype)) for name, p in tensors.items()}


VALUES = {"weight": np.linspace(-1, 2, 6).reshape(2, 3), "bias": np.ones(2)}
START = {name: jax.device_put(x.astype(np.float32)) for name, x in VALUES.items()}


# The module


def test_the_weights_stay_unless_asked_for() -> None:
    params, state = run_here(factory(), START)
    module = parameters(START)
    call = partial(to_torch_optimizer, factory(), state, params, module)
    refused("module: 'weight' has other values than params; load the weights first", call)
    assert torch.equal(module["weight"], parameters(START)["weight"])
    opt, scheduler = call(load_weights=True)
    assert scheduler is None
    np.testing.assert_array_equal(module["weight"].detach(), params["weight"])
    assert opt.param_groups[0]["params"] == list(module.values())
    call()  # now they have the values


def test_other_dtypes_and_frozen_parameters_are_refused() -> None:
    params, state = run_here(factory(), START)
    call = partial(to_torch_optimizer, factory(), state, params)
    double = parameters(params, torch.float64)
    refused("'weight' is float64, but float32 in params; call module.to", call, double)
    refused("'weight' is float64", call, double, load_weights=True)
    frozen = parameters(params)
    frozen["bias"].requires_grad_(False)
    refused("'bias' has requires_grad=False, but the optimizer steps it here", call, frozen)
    refused("module Identity: has no parameters", call, torch.nn.Identity())
    refused("no parameter is named 'bias'", call, {"w": frozen["weight"]})


def test_bfloat16_keeps_its_bits() -> None:
    start = {name: x.astype(jnp.bfloat16) for name, x in VALUES.items()}
    params, state = run_here(factory(), start, jit=True)
    there = to_torch_state(factory(), state, params, names=["weight", "bias"])
    assert there["state"][0]["exp_avg"].dtype == jnp.bfloat16
    opt, _ = to_torch_optimizer(factory(), state, params, parameters(params))
    for name, p in zip(("weight", "bias"), opt.param_groups[0]["params"]):
        moment = opt.state[p]["exp_avg"]
        assert moment.dtype == torch.bfloat16
        assert moment.tolist() == state[0].mu[name].tolist()


def test_a_moment_of_another_dtype_than_the_parameter_is_refused() -> None:
    params, state = run_here(factory(), START)
    params = {**params, "bias": params["bias"].astype(jnp.bfloat16)}
    says = "parameter 'bias' is bfloat16, its mu float32: torch keeps exp_avg in the parameter's"
    refused(says, to_torch_state, factory(), state, params, names=["weight", "bias"])


def test_complex_parameters_are_refused() -> None:
    params = {"w": jnp.ones(2, jnp.complex64)}
    state = factory()().init(params)
    refused("complex64; keep complex", to_torch_state, factory(), state, params, names=["w"])
    p = torch.nn.Parameter(torch.ones(2, dtype=torch.complex64))
    opt = torch.optim.SGD([("w", p)], momentum=0.9)
    made, state, params = moved(opt, {"w": p})
    assert to_torch_state(made, state, params)["state"][0]["momentum_buffer"].dtype == "complex64"


@pytest.mark.parametrize("choice", [{"foreach": False}, {"fused": True}, {"capturable": True}])
def test_an_implementation_is_passed_on(choice: dict[str, bool]) -> None:
    params, state = run_here(factory(), START)
    module = parameters(params)
    opt, _ = to_torch_optimizer(factory(), state, params, module, **choice)
    assert choice.items() <= opt.param_groups[0].items()
    there = to_torch_state(factory(), state, params, names=module, **choice)
    same(as_tensors(there), opt.state_dict())
    if "capturable" not in choice:  # which is for GPUs
        step_alike(module, opt, None, 2)
        params, _ = run_here(factory(), params, 2, state)
        for name, p in module.items():
            np.testing.assert_allclose(p.detach(), params[name], rtol=1e-6)
    refused(
        "fuse: torch's AdamW does not take it; it takes foreach, capturable",
        *(to_torch_state, factory(), state, params),
        names=module,
        fuse=True,
    )


# Names and groups


def test_the_order_must_be_known() -> None:
    """A dict of JAX's is sorted: bias before weight."""
    params, state = run_here(factory(), START)
    call = partial(to_torch_state, factory(), state, params)
    refused("names is missing: torch keeps its state in the order", call)
    refused("names has 2 entries, and only 1 different", call, names=["bias", "bias"])
    refused("the arrangement leaves out the parameter 'more'", call, names=[*START, "more"])
    there = call(names=["weight", "bias"])
    assert [there["state"][i]["exp_avg"].shape for i in (0, 1)] == [(2, 3), (2,)]
    refused("so the shapes in torch must be known", call, names=[*START], arrange=lambda of: of)
    wrong = {"weight": np.empty((3, 2)), "bias": np.empty(2)}
    refused(r"params\['weight'\] has shape \[2, 3\], but `arrange`", call, names=wrong)


def test_a_list_is_in_torchs_order() -> None:
    params = list(START.values())
    params, state = run_here(factory(), params)
    there = to_torch_state(factory(), state, params)
    assert "param_names" not in there["param_groups"][0]
    assert [there["state"][i]["exp_avg"].shape for i in (0, 1)] == [(2, 3), (2,)]
    by_name = to_torch_state(factory(), state, params, names=["weight", "bias"])
    assert by_name["param_groups"][0]["param_names"] == ["weight", "bias"]
    moved = to_torch_state(factory(), state, params, arrange=[1, 0])
    assert [moved["state"][i]["exp_avg"].shape for i in (0, 1)] == [(2,), (2, 3)]
    to_torch_optimizer(factory(), state, params, parameters(dict(zip(START, params))))


def test_groups_that_the_caller_says() -> None:
    params, state = run_here(factory(), START)
    call = partial(to_torch_state, factory(), state, params)
    there = call(groups=[["bias"], ["weight"]])
    assert [group["param_names"] for group in there["param_groups"]] == [["bias"], ["weight"]]
    assert [group["params"] for group in there["param_groups"]] == [[0], [1]]
    assert there["state"][0]["exp_avg"].shape == (2,)
    refused("groups: 'weight' is in 0 groups; put each", call, groups=[["bias"]])
    refused(
        "groups: 'bias' is in 2 groups",
        call,
        groups=[["bias", "weight"], ["bias"]],
        names=["bias", "weight"],
    )
    refused("groups: 'b' is not a parameter", call, groups=[["b"]], names=["bias", "weight"])


# The learning rate


def rate(count: Any) -> Any:
    return 0.02 / (1 + count)


def test_a_schedule_goes_on_in_torch() -> None:
    with jax.enable_x64(True):
        made = factory(lr=rate)
        params, state = run_here(made, VALUES, jit=True)
        module = parameters(params)
        opt, scheduler = to_torch_optimizer(made, state, params, module)
        expected = [[float(rate(jnp.asarray(k)))] for k in range(3, 8)]
    assert isinstance(scheduler, torch.optim.lr_scheduler.LambdaLR)
    assert (scheduler.last_epoch, scheduler.get_last_lr()) == (3, expected[0])
    # Outside enable_x64 too the learning rates are the schedule's of 64 bits.
    assert step_alike(module, opt, scheduler, 5) == expected
    assert scheduler.last_epoch == 8
    with jax.enable_x64(True):
        params, _ = run_here(made, params, 5, state, jit=True)
        for name, p in module.items():
            np.testing.assert_allclose(p.detach(), params[name], rtol=1e-14)


def test_a_schedule_from_the_start() -> None:
    made = factory(lr=rate)
    state = made().init(START)
    opt, scheduler = to_torch_optimizer(made, state, START, parameters(START))
    assert scheduler.last_epoch == 0
    assert scheduler.get_last_lr() == [pytest.approx(0.02)]
    assert opt.state_dict()["state"] == {}


def test_no_file_holds_a_schedule() -> None:
    params, state = run_here(factory(lr=rate), START)
    call = partial(to_torch_state, factory(lr=rate), state, params, names=["weight", "bias"])
    refused("the learning rate is a function of the steps, so no file can hold it: pass lr=", call)
    assert call(lr=0.5)["param_groups"][0]["lr"] == 0.5
    params, state = run_here(factory(), START)
    refused(
        "lr=0.5: the optimizer's learning rate is a number; leave lr out",
        *(to_torch_state, factory(), state, params),
        names=["weight", "bias"],
        lr=0.5,
    )


# Counts


def test_a_first_step_is_not_dampened_later() -> None:
    made = partial(conventions.torch.sgd, lr=0.1, momentum=0.5, dampening=0.5)
    for steps in (0, 1):
        params, state = run_here(made, START, steps)
        module = parameters(params)
        opt, _ = to_torch_optimizer(made, state, params, module)
        assert len(opt.state_dict()["state"]) == 2 * steps
        params, _ = run_here(made, params, 3, state)
        step_alike(module, opt, None, 3)
        for name, p in module.items():
            np.testing.assert_allclose(p.detach(), params[name], rtol=1e-6)


def test_steps_that_the_state_counts_otherwise_are_refused() -> None:
    params, state = run_here(factory(), START)
    refused(
        "steps=7: the state counts 3; leave steps out",
        *(to_torch_state, factory(), state, params),
        names=["weight", "bias"],
        steps=7,
    )


def test_torch_is_not_needed_for_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    params, state = run_here(factory(), START)
    monkeypatch.setitem(sys.modules, "torch", None)
    there = to_torch_state(factory(), state, params, names=["weight", "bias"])
    assert there["state"][0]["step"] == 3
    monkeypatch.setattr("jaxopt_notes.extras.installed", lambda module: False)
    for call in (
        partial(to_torch_optimizer, factory(), state, params, {}),
        partial(as_tensors, {}),
    ):
        refused(r"needs torch, which is not installed; pip install 'jaxopt-notes\[torch\]'", call)


# What translate remembers


def moved(opt: Any, module: dict[str, Any], steps: int = 3, **keywords: Any) -> Any:
    """A run that came from torch, and has taken some steps here: (optimizer, state, params)."""
    params = {name: jnp.array(p.detach().numpy()) for name, p in module.items()}
    made, state = translate(opt, **keywords), translate_state(opt, params, **keywords)
    for _ in range(steps):
        updates, state = made.update(params, state, params)
        params = jax.tree.map(jnp.add, params, updates)
    return made, state, params


def two_groups(module: dict[str, Any], **second: Any) -> Any:
    groups = [{"params": [("bias", module["bias"])]}, {"params": [("weight", module["weight"])]}]
    return torch.optim.AdamW([groups[0], {**groups[1], **second}], lr=0.1)


@pytest.mark.parametrize("second", [{"lr": 0.01}, {}], ids=["different", "alike"])
def test_param_groups_come_back_as_they_were(second: dict[str, Any]) -> None:
    """Their order too, which is not that of the module."""
    module = parameters(START)
    opt = two_groups(module, **second)
    step_alike(module, opt, None, 2)
    made, state, params = moved(opt, module)
    step_alike(module, opt, None, 3)
    there = to_torch_state(made, state, params)
    assert there["param_groups"] == opt.state_dict()["param_groups"]
    again = parameters(params)
    back, _ = to_torch_optimizer(made, state, params, again)
    step_alike(module, opt, None, 3)
    step_alike(again, back, None, 3)
    for name, p in module.items():
        np.testing.assert_allclose(again[name].detach(), p.detach(), rtol=1e-5)
        assert back.state[again[name]]["step"] == opt.state[p]["step"] == 8
    merged = to_torch_state(made, state, params, groups=[["bias", "weight"]]) if not second else {}
    assert len(merged.get("param_groups", [0])) == 1


def test_parameters_of_different_counts_keep_their_own() -> None:
    module = parameters(START)
    opt = torch.optim.Adam(module.items(), lr=0.01)
    module["weight"].grad = torch.ones(2, 3)
    opt.step()
    made, state, params = moved(opt, module)
    there = to_torch_state(made, state, params)
    assert [there["state"][i]["step"] for i in (0, 1)] == [4, 3]
    assert len(there["param_groups"]) == 1
    traced = optax.GradientTransformation(made.init, made.update)
    again = to_torch_state(traced, state, params, names=["weight", "bias"])
    same(as_tensors(again), as_tensors(there))


def test_a_frozen_parameter_stays_in_its_group_with_its_state() -> None:
    module = parameters(START)
    opt = torch.optim.Adam(module.items(), lr=0.01)
    step_alike(module, opt, None, 2)
    before = opt.state[module["bias"]]["exp_avg"].clone()
    module["bias"].requires_grad_(False)
    made, state, params = moved(opt, module)
    call = partial(to_torch_optimizer, made, state, params)
    refused(
        "'bias' is not stepped here, but torch would step it; set requires_grad_",
        call,
        parameters(params),
    )
    back, _ = call(module, load_weights=True)
    assert back.param_groups[0]["params"] == list(module.values())
    assert torch.equal(back.state[module["bias"]]["exp_avg"], before)
    # Recognised, it is a parameter that nothing steps: it has no place in the optimizer.
    traced = optax.GradientTransformation(made.init, made.update)
    there = to_torch_state(traced, state, params, names=["weight", "bias"])
    assert there["param_groups"][0]["param_names"] == ["weight"]
    there = to_torch_state(traced, state, params, groups=[["bias", "weight"]])
    assert there["param_groups"][0]["param_names"] == ["bias", "weight"]
    assert list(there["state"]) == [1]


def test_a_frozen_parameter_of_the_module_alone_is_left_alone() -> None:
    params, state = run_here(factory(), START)
    module = parameters(params)
    still = torch.nn.Parameter(torch.ones(1), requires_grad=False)
    back, _ = to_torch_optimizer(factory(), state, params, {"still": still, **module})
    assert back.param_groups[0]["params"] == list(module.values())
    still.requires_grad_(True)
    refused(
        "the arrangement leaves out the parameter 'still'",
        to_torch_optimizer,
        factory(),
        state,
        params,
        {"still": still, **module},
    )


def test_the_arrangement_is_remembered() -> None:
    module = network()
    opt = torch.optim.AdamW(
        [
            {"params": [p for n, p in module.named_parameters() if "bias" in n]},
            {"params": [p for n, p in module.named_parameters() if "weight" in n], "lr": 0.02},
        ]
    )
    step(module, opt, 2)
    keywords = {"names": module, "arrange": arrange}
    params = here(module)
    made, state = translate(opt, **keywords), translate_state(opt, params, **keywords)
    there = to_torch_state(made, state, params)
    names = [group.pop("param_names") for group in there["param_groups"]]
    assert names == [["0.bias", "1.bias"], ["0.weight", "1.weight"]]
    same(as_tensors(there), opt.state_dict())
    back, _ = to_torch_optimizer(made, state, params, module)
    same(back.state_dict()["state"], opt.state_dict()["state"])
    # What wraps it forgets where it came from, and is recognised.
    chained = optax.chain(optax.identity(), made)
    again = to_torch_state(chained, (optax.EmptyState(), state), params, groups=names, **keywords)
    same(as_tensors(again)["state"], opt.state_dict()["state"])


def test_names_of_another_optimizer_are_refused() -> None:
    module = parameters(START)
    made, state, params = moved(torch.optim.Adam(module.items()), module)
    prefixed = {f"net.{name}": p for name, p in module.items()}
    arrange = {name: f"net.{name}" for name in module}
    refused(
        "was translated with parameters named 'weight', …, not 'net.weight'",
        to_torch_optimizer,
        made,
        state,
        params,
        prefixed,
        load_weights=True,
        arrange=arrange,
    )


def test_a_list_that_translate_counted() -> None:
    module = parameters(START)
    opt = torch.optim.Adam(module.values(), lr=0.01)
    step_alike(module, opt, None, 1)
    params = [jnp.array(p.detach().numpy()) for p in module.values()]
    made, state = translate(opt), translate_state(opt, params)
    back, _ = to_torch_optimizer(made, state, params, module)
    same(back.state_dict()["state"], opt.state_dict()["state"])
    assert back.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]


# What torch does not have


# Each with its reason, and what to do instead.
UNLIKE: dict[str, tuple[Callable[[], Any], str]] = {
    "RMSProp": (
        lambda: optax.rmsprop(0.01),
        r"ε is inside the root.*nearest is torch.optim.RMSprop\(.*eps=",
    ),
    "RMSProp from 1": (
        lambda: optax.rmsprop(0.01, eps_in_sqrt=False, initial_scale=1.0),
        "starts from 1, and has not moved yet.*take a step first",
    ),
    "the learning rate inside the velocity": (
        lambda: optax.rmsprop(rate, eps_in_sqrt=False, momentum=0.9),
        "learning rate changes and is inside the velocity.*keep the learning rate constant",
    ),
    "Adam with eps_root": (
        lambda: optax.adam(0.01, eps_root=1e-8),
        "eps_root.*radam.*leave eps_root out",
    ),
    "MultiSteps": (
        lambda: optax.MultiSteps(optax.adam(0.01), 2),
        "pass the optimizer inside it",
    ),
    "Nesterov's Adam": (lambda: optax.adam(0.01, nesterov=True), "looks ahead.*use adam"),
    "AMSGrad of corrected moments": (
        lambda: optax.amsgrad(0.01),
        "after the bias correction.*nearest is amsgrad=True there",
    ),
    "AMSGrad without correction": (
        lambda: optax.amsgrad(0.01, bias_correction_mu=False, bias_correction_nu=False),
        "does not correct the bias of its moments",
    ),
    "RMSProp with correction": (
        lambda: optax.rmsprop(0.01, eps_in_sqrt=False, bias_correction=True),
        "corrects the bias of its second moment",
    ),
    "Lion": (
        lambda: optax.lion(0.01),
        "has no equivalent in torch.*conventions.torch has the optimizers that can go there",
    ),
    "a clipped norm": (
        lambda: optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.01)),
        "clips the gradients' global norm.*torch.nn.utils.clip_grad_norm_",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", UNLIKE)
def test_what_torch_does_not_have_is_refused(name: str) -> None:
    make, says = UNLIKE[name]
    made = make()
    refused(says or ".", to_torch_state, made, made.init(START), START, names=["weight", "bias"])


def test_two_kinds_are_two_optimizers_in_torch() -> None:
    made = optax.partition(
        {"a": optax.sgd(0.1), "b": optax.adam(0.1)}, {"weight": "a", "bias": "b"}
    )
    says = "stepped by torch's Adam and SGD, which are different optimizers there"
    refused(says, to_torch_state, made, made.init(START), START, names=["weight", "bias"])
    refused(
        "steps no parameter; there is nothing",
        to_torch_state,
        optax.set_to_zero(),
        optax.set_to_zero().init(START),
        START,
        names=["weight", "bias"],
    )


def test_a_learning_rate_below_0_is_refused() -> None:
    made = partial(conventions.torch.sgd, lr=-0.1)
    refused(
        "the learning rate is -0.1: torch takes no negative learning rate",
        to_torch_state,
        made,
        made().init(START),
        START,
        names=["weight", "bias"],
    )


def test_what_came_from_keras_goes_to_torch_where_torch_has_it() -> None:
    settings = {"learning_rate": 1.0, "momentum": 0.5, "nesterov": True, "weight_decay": None}
    optimizer, params = translate(settings), {"weight": jnp.ones(2)}
    there = to_torch_state(optimizer, optimizer.init(params), params, names=["weight"])
    assert there["param_groups"][0]["momentum"] == 0.5
    assert there["param_groups"][0]["nesterov"] is True
