"""An optimizer that torch users changed before the move goes on right or is refused by name.

Each trajectory is torch's own: some steps there, then 15 in both, in float64.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_notes.conventions import translate, translate_state
from jaxopt_notes.errors import InputError

torch = pytest.importorskip("torch", reason="torch is not installed")

SHAPES = {"a": (3, 2), "b": (3, 2), "c": (4,)}
BEFORE, AFTER = 7, 15
GRADIENTS = {
    name: np.random.default_rng(i).normal(0.2, 1.0, (100, *shape))
    for i, (name, shape) in enumerate(SHAPES.items())
}


def never(name: str, k: int) -> bool:
    return False


@pytest.fixture(autouse=True)
def _float64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def parameters() -> dict[str, Any]:
    random = np.random.default_rng(9)
    return {
        name: torch.nn.Parameter(torch.tensor(random.normal(size=shape)))
        for name, shape in SHAPES.items()
    }


def here(params: dict[str, Any]) -> dict[str, jax.Array]:
    return {name: jnp.array(p.detach().numpy()) for name, p in params.items()}


def in_torch(
    opt: Any,
    params: dict[str, Any],
    steps: range,
    idle: Callable[[str, int], bool] = never,
    scheduler: Any = None,
) -> None:
    for k in steps:
        for name, p in params.items():
            p.grad = None if idle(name, k) else torch.tensor(GRADIENTS[name][k])
        opt.step()
        if scheduler is not None:
            scheduler.step()


def in_jax(
    optimizer: optax.GradientTransformation,
    params: Any,
    state: Any,
    steps: range,
    idle: Callable[[str, int], bool] = never,
) -> Any:
    for k in steps:
        grads = {n: None if idle(n, k) else jnp.array(GRADIENTS[n][k]) for n in params}
        updates, state = optimizer.update(grads, state, params)
        params = {n: p if updates[n] is None else p + updates[n] for n, p in params.items()}
    return params


def moves(
    opt: Any,
    params: dict[str, Any],
    *,
    before: int = BEFORE,
    idle: Callable[[str, int], bool] = never,
    idle_here: Callable[[str, int], bool] | None = None,
    scheduler: Any = None,
    as_dict: bool = False,
    steps: int | None = None,
    **keywords: Any,
) -> None:
    """Steps in torch, then more in torch and here, which end in the same place."""
    in_torch(opt, params, range(before), idle, scheduler)
    theta, source = here(params), opt.state_dict() if as_dict else opt
    optimizer = translate(source, **keywords)
    state = translate_state(opt.state_dict(), theta, steps=steps, **keywords)
    assert jax.tree.structure(state) == jax.tree.structure(jax.eval_shape(optimizer.init, theta))
    rest = range(before, before + AFTER)
    theta = in_jax(optimizer, theta, state, rest, idle if idle_here is None else idle_here)
    in_torch(opt, params, rest, idle, scheduler)
    for name, p in params.items():
        np.testing.assert_allclose(theta[name], p.detach().numpy(), rtol=1e-12, atol=1e-12)


def falling(count: Any) -> Any:
    """A factor of the learning rate. Outside jit, JAX compiles a power for each exponent."""
    return 1 / (1 + 0.03 * count)


def named(params: dict[str, Any]) -> list[tuple[str, Any]]:
    return list(params.items())


def refused(says: str, call: Callable[..., Any], *args: Any, **keywords: Any) -> None:
    with pytest.raises(InputError, match=says) as error:
        call(*args, **keywords)
    assert "\n" not in str(error.value)


as_dict = pytest.mark.parametrize("as_dict", [False, True], ids=["optimizer", "state_dict"])

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd": ("SGD", {"momentum": 0.9, "weight_decay": 0.1}),
    "dampened": ("SGD", {"momentum": 0.9, "dampening": 0.3}),
    "adagrad": ("Adagrad", {"initial_accumulator_value": 0.2}),
    "adagrad, lr_decay": ("Adagrad", {"lr_decay": 0.1}),
    "rmsprop": ("RMSprop", {"momentum": 0.9, "centered": True, "weight_decay": 0.1}),
    "adam": ("Adam", {"weight_decay": 0.1}),
    "amsgrad": ("Adam", {"amsgrad": True}),
    "adamw": ("AdamW", {"weight_decay": 0.1}),
}
of_each_kind = pytest.mark.parametrize("kind", KINDS)


def build(kind: str, params: Any, **keywords: Any) -> Any:
    name, settings = KINDS[kind]
    return getattr(torch.optim, name)(params, lr=0.01, **{**settings, **keywords})


# What a scheduler changes


def schedulers(opt: Any) -> dict[str, Callable[[], Any]]:
    of = torch.optim.lr_scheduler
    return {
        "one cycle": lambda: of.OneCycleLR(opt, max_lr=0.1, total_steps=80),
        "cyclic": lambda: of.CyclicLR(opt, 0.001, 0.1, step_size_up=10),
    }


@pytest.mark.parametrize("scheduler", ["one cycle", "cyclic"])
@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_a_cycled_momentum_is_refused(kind: str, scheduler: str) -> None:
    opt = build(kind, named(parameters()))
    schedulers(opt)[scheduler]()
    cycled = "betas" if kind == "adam" else "momentum"
    refused(f"a scheduler changes {cycled} .*base_momentum", translate, opt, lr=0.1)
    refused(f"a scheduler changes {cycled}", translate, opt.state_dict(), lr=0.1)
    refused(
        f"a scheduler changes {cycled}", translate_state, opt.state_dict(), here(parameters()), lr=1
    )


def test_a_cycle_of_the_rate_alone_is_followed() -> None:
    params = parameters()
    of = torch.optim.lr_scheduler
    spare = build("adam", named(parameters()))
    cycle = {"max_lr": 0.1, "total_steps": 80, "cycle_momentum": False}
    ahead, table = of.OneCycleLR(spare, **cycle), []
    for _ in range(BEFORE + AFTER):
        table.append(ahead.get_last_lr()[0])
        spare.step()
        ahead.step()
    opt = build("adam", named(params))
    moves(
        opt,
        params,
        scheduler=of.OneCycleLR(opt, **cycle),
        lr=lambda count: jnp.asarray(table)[count],
    )


@pytest.mark.parametrize("mark", ["initial_lr", "max_lr", "min_lr", "swa_lr"])
def test_what_drives_the_rate_leaves_its_mark(mark: str) -> None:
    opt = build("adam", named(parameters()))
    opt.param_groups[0][mark] = 0.1
    refused(f"an lr_scheduler drives this optimizer: pass lr=.*{mark}", translate, opt)
    translate(opt, lr=0.1)


@pytest.mark.parametrize("key", ["rho", "lr_scale", "initial_weight_decay", "betas_schedule"])
def test_a_setting_that_is_not_known_is_refused(key: str) -> None:
    opt = build("adamw", named(parameters()))
    opt.param_groups[0][key] = 0.1
    refused(f"'{key}' in a param group is not a setting of torch's AdamW", translate, opt)
    refused(f"'{key}' in a param group", translate, opt.state_dict())


@pytest.mark.parametrize("key", ["lr", "weight_decay", "maximize"])
def test_a_setting_that_is_missing_is_refused(key: str) -> None:
    opt = build("adam", named(parameters()))
    del opt.param_groups[0][key]
    refused(f"a param group has no {key}", translate, opt.state_dict())


def test_what_only_chooses_an_implementation_is_left_out() -> None:
    params = parameters()
    opt = torch.optim.Adam(
        [{"params": named(params), "name": "all"}],
        lr=torch.tensor(0.01, dtype=torch.float64),
        foreach=False,
    )
    moves(opt, params)


# Several groups


def two_groups(params: dict[str, Any], **second: Any) -> Any:
    """Groups in another order than the model's; a and b have one shape."""
    groups = [{"params": [params["b"]]}, {"params": [params["a"], params["c"]], **second}]
    return torch.optim.Adam(groups, lr=0.1)


def test_one_rate_for_groups_that_have_their_own_is_refused() -> None:
    opt = two_groups(parameters(), lr=0.01)
    opt_named = {"names": [["b"], ["a", "c"]], "arrange": {n: n for n in "abc"}}
    says = r"lr=0.1 is one learning rate for param groups that have their own \(0.1, 0.01\)"
    refused(f"{says}: pass lr=.…, …., one for each", translate, opt, lr=0.1, **opt_named)
    torch.optim.lr_scheduler.LambdaLR(opt, lambda k: 0.0)  # the rates are equal now: both are 0
    refused("param groups that have their own", translate, opt, lr=0.1, **opt_named)
    refused("a list of 2, one for each param group", translate, opt, **opt_named)
    refused("lr has 3 entries, the optimizer 2 param groups", translate, opt, lr=[1.0] * 3)


@as_dict
@pytest.mark.parametrize("names", ["pairs", "by group"])
def test_a_rate_for_each_group(as_dict: bool, names: str) -> None:
    params = parameters()
    opt = two_groups(params, lr=0.01)
    if names == "pairs" and as_dict:
        pytest.skip("a state_dict has no parameters to match")
    scheduler = torch.optim.lr_scheduler.LambdaLR(opt, falling)
    in_torch(opt, params, range(BEFORE), scheduler=scheduler)
    source, theta = opt.state_dict() if as_dict else opt, here(params)
    keywords = {
        "lr": [lambda k: 0.1 * falling(k), lambda k: 0.01 * falling(k)],
        "names": [["b"], ["a", "c"]] if names == "by group" else named(params),
    }
    state = translate_state(source, theta, **keywords)
    rest = range(BEFORE, BEFORE + AFTER)
    theta = in_jax(translate(source, **keywords), theta, state, rest)
    in_torch(opt, params, rest, scheduler=scheduler)
    for name, p in params.items():
        np.testing.assert_allclose(theta[name], p.detach().numpy(), rtol=1e-12, atol=1e-12)


# Names


def test_names_are_matched_by_identity() -> None:
    params = parameters()
    opt = two_groups(params)
    in_torch(opt, params, range(BEFORE))
    for names in (named(params), params, iter(named(params))):
        state = translate_state(opt, here(params), names=names)
        np.testing.assert_array_equal(state[0].mu["a"], opt.state[params["a"]]["exp_avg"])
        np.testing.assert_array_equal(state[0].mu["b"], opt.state[params["b"]]["exp_avg"])


def test_a_module_names_its_parameters() -> None:
    module = torch.nn.Linear(2, 2).double()
    opt = torch.optim.SGD([module.bias, module.weight], momentum=0.9)
    module(torch.ones(1, 2, dtype=torch.float64)).sum().backward()
    opt.step()
    theta = here(dict(module.named_parameters()))
    state = translate_state(opt, theta, names=module)
    np.testing.assert_array_equal(state[0].trace["bias"], module.bias.grad)
    other = torch.nn.Linear(2, 2)
    refused("names lacks a parameter of the optimizer", translate, opt, names=other)


def test_names_in_an_order_that_cannot_be_checked_are_refused() -> None:
    params = parameters()
    opt = two_groups(params, weight_decay=0.1)
    in_torch(opt, params, range(BEFORE))
    flat = {"names": ["a", "b", "c"]}
    refused("names is one list for 2 param groups", translate_state, opt, here(params), **flat)
    refused(
        "names is one list .*: pass the module",
        translate,
        opt,
        arrange={n: n for n in "abc"},
        **flat,
    )
    pairs = {"names": named(params)}
    refused(
        "a state_dict has no parameters to match: pass the torch optimizer",
        *(translate_state, opt.state_dict(), here(params)),
        **pairs,
    )
    refused(
        "names has 2 names for param group 0, which has 1", translate, opt, names=[["a", "b"], []]
    )
    # Without any names, positions count through the groups: not the order of a model's list.
    as_list = list(here(params).values())
    refused("2 param groups without names", translate_state, opt.state_dict(), as_list)
    translate_state(opt.state_dict(), as_list, arrange=[1, 0, 2])


def test_names_that_the_optimizer_has_in_another_order_are_refused() -> None:
    params = parameters()
    opt = torch.optim.Adam(named(params))
    in_torch(opt, params, range(BEFORE))
    for names in (["b", "a", "c"], ["net.b", "net.a", "net.c"]):
        refused("names has .*b' where the optimizer has 'a'", translate, opt, names=names)
    translate(opt, names=["a", "b", "c"])
    translate(opt, names=["net.a", "net.b", "net.c"])
    nested = torch.optim.Adam([("x.a", params["a"]), ("a", params["b"])])
    refused("names has 'a' where the optimizer has 'x.a'", translate, nested, names=["a", "x.a"])


def test_pairs_of_other_shapes_are_refused_for_a_state_dict() -> None:
    params = parameters()
    opt = torch.optim.Adam(params.values())
    in_torch(opt, params, range(BEFORE))
    shuffled = [("c", params["c"]), ("a", params["a"]), ("b", params["b"])]
    refused(
        r"names has 'c' of shape \[4\], the state_dict \[3, 2\] in its place",
        *(translate_state, opt.state_dict(), here(params)),
        names=shuffled,
    )


def test_a_group_added_later() -> None:
    params = parameters()
    opt = torch.optim.Adam([("b", params["b"])], lr=0.01)
    in_torch(opt, params, range(3))
    opt.add_param_group({"params": [("a", params["a"]), ("c", params["c"])], "lr": 0.1})
    moves(opt, params)


@pytest.mark.parametrize("groups", [1, 2])
def test_a_state_keyed_by_names(groups: int) -> None:
    params = parameters()
    first, *others = [[p] for p in named(params)]
    opt = torch.optim.AdamW([{"params": first + [p for [p] in others]}])
    if groups == 2:
        opt = torch.optim.AdamW(
            [{"params": first}, {"params": [p for [p] in others], "weight_decay": 0.3}]
        )
    in_torch(opt, params, range(BEFORE))
    by_position = opt.state_dict()
    # As torch.distributed.checkpoint and FSDP write it.
    names = [n for g in by_position["param_groups"] for n in g.pop("param_names")]
    by_name = {
        "state": {names[i]: of for i, of in by_position["state"].items()},
        "param_groups": [
            {**g, "params": [names[i] for i in g["params"]]} for g in by_position["param_groups"]
        ],
    }
    theta = here(params)
    optimizer, state = translate(by_name), translate_state(by_name, theta)
    rest = range(BEFORE, BEFORE + AFTER)
    theta = in_jax(optimizer, theta, state, rest)
    in_torch(opt, params, rest)
    for name, p in params.items():
        np.testing.assert_allclose(theta[name], p.detach().numpy(), rtol=1e-12, atol=1e-12)


def test_a_flattened_state_is_refused() -> None:
    refused(
        "flattened: .*flatten_optimizer_state_dict=False",
        *(translate, {"state.a.step": 1, "param_groups.a.lr": 0.1}),
    )


# States


@pytest.mark.parametrize(
    ("kind", "change", "says"),
    [
        ("adam", {"exp_inf": torch.ones(3, 2)}, "'a' has 'exp_inf' in its state, .*torch's Adam"),
        ("adam", {"mu_product": torch.ones(1)}, "'a' has 'mu_product'"),
        ("adam", {"max_exp_avg_sq": torch.ones(3, 2)}, "'a' has 'max_exp_avg_sq'"),
        ("sgd", {"exp_avg": torch.ones(3, 2)}, "'a' has 'exp_avg'"),
        ("adam", {"exp_avg_sq": None}, "'a' has no exp_avg_sq in its state, but step, exp_avg"),
        ("amsgrad", {"max_exp_avg_sq": None}, "'a' has no max_exp_avg_sq"),
        ("rmsprop", {"grad_avg": None}, "'a' has no grad_avg"),
        ("adam", {"step": None}, "'a' has no step"),
        ("adam", {"step": torch.tensor(7.5)}, "'a' has taken 7.5 steps"),
        ("adam", {"step": torch.tensor(7, dtype=torch.bfloat16)}, "step is bfloat16, which"),
        ("adam", {"exp_avg": [1.0]}, "'a' has exp_avg in its state as a list, not a tensor"),
    ],
)
def test_a_state_that_is_not_understood_is_refused(
    kind: str, change: dict[str, Any], says: str
) -> None:
    params = parameters()
    opt = build(kind, named(params))
    in_torch(opt, params, range(BEFORE))
    opt.state[params["a"]].update(change)
    for source in (opt, opt.state_dict()):
        refused(says, translate, source)
        refused(says, translate_state, source, here(params))


def test_a_velocity_of_a_momentum_that_is_now_0_is_refused() -> None:
    params = parameters()
    opt = build("sgd", named(params))
    in_torch(opt, params, range(BEFORE))
    opt.param_groups[0]["momentum"] = 0
    refused("'a' has 'momentum_buffer' in its state", translate, opt)


@pytest.mark.parametrize("kind", ["NAdam", "RAdam", "Adamax", "ASGD", "Rprop", "Adadelta"])
def test_relatives_are_refused(kind: str) -> None:
    params = parameters()
    opt = getattr(torch.optim, kind)(named(params))
    in_torch(opt, params, range(3))
    refused("no equivalent here", translate, opt)
    refused("no optimizer that has an equivalent here", translate, opt.state_dict())
    refused("no optimizer that has an equivalent", translate_state, opt.state_dict(), here(params))


def test_complex_parameters_are_refused() -> None:
    p = torch.nn.Parameter(torch.ones(2, dtype=torch.complex64))
    opt = torch.optim.Adam([p])
    refused("parameter 0 is complex", translate, opt)
    p.grad = torch.ones_like(p)
    opt.step()
    refused("parameter 0 is complex", translate, opt.state_dict())
    p = torch.nn.Parameter(torch.ones(2, dtype=torch.complex64))
    translate(torch.optim.SGD([p], momentum=0.9))


# Parameters that have no state, or a count of their own


@as_dict
@of_each_kind
def test_a_parameter_without_a_gradient_so_far_starts_with_a_count_of_its_own(
    kind: str, as_dict: bool
) -> None:
    params = parameters()
    moves(
        build(kind, named(params)), params, idle=lambda n, k: n == "b" and k < 20, as_dict=as_dict
    )


@as_dict
@of_each_kind
def test_parameters_of_different_counts_go_on_with_their_own(kind: str, as_dict: bool) -> None:
    params = parameters()
    start = {"a": 0, "b": 4, "c": 5}
    moves(build(kind, named(params)), params, idle=lambda n, k: k < start[n], as_dict=as_dict)


@of_each_kind
def test_a_frozen_parameter_stays_though_it_gets_a_gradient_here(kind: str) -> None:
    params = parameters()
    params["b"].requires_grad_(False)
    moves(
        build(kind, named(params)), params, idle=lambda n, k: n == "b", idle_here=lambda n, k: False
    )


@pytest.mark.parametrize("kind", ["adam", "adamw", "sgd", "rmsprop"])
def test_a_schedule_counts_all_steps_and_a_moment_its_own(kind: str) -> None:
    params = parameters()
    opt = build(kind, named(params))
    moves(
        opt,
        params,
        idle=lambda n, k: n == "b" and k < 20,
        scheduler=torch.optim.lr_scheduler.LambdaLR(opt, falling),
        lr=lambda k: 0.01 * falling(k),
        steps=BEFORE,
    )


@pytest.mark.parametrize("kind", ["dampened", "adagrad, lr_decay"])
def test_two_clocks_in_one_count_are_refused(kind: str) -> None:
    params = parameters()
    opt = build(kind, named(params))
    in_torch(opt, params, range(BEFORE), idle=lambda n, k: n == "b")
    says = (
        "'b' has taken 0 steps, another parameter .* and a schedule for lr this has no equivalent"
    )
    refused(says, translate, opt, lr=lambda k: 0.1)


@pytest.mark.slow
def test_unfrozen_here() -> None:
    """Frozen at the move and for some steps here; then it is trained, as in torch."""
    params = parameters()
    params["b"].requires_grad_(False)
    opt = build("adamw", named(params))
    scheduler = torch.optim.lr_scheduler.LambdaLR(opt, lambda k: 0.97**k)
    lr = {"lr": lambda k: 0.01 * 0.97**k}
    in_torch(opt, params, range(BEFORE), lambda n, k: n == "b", scheduler)
    theta = here(params)
    optimizer, state = translate(opt, **lr), translate_state(opt.state_dict(), theta, **lr)
    for k in range(BEFORE, 20):
        grads = {n: jnp.array(GRADIENTS[n][k]) for n in theta}
        updates, state = optimizer.update(grads, state, theta)
        theta = optax.apply_updates(theta, updates)
    in_torch(opt, params, range(BEFORE, 20), lambda n, k: n == "b", scheduler)
    params["b"].requires_grad_(True)
    theta = in_jax(translate(opt, **lr), theta, state, range(20, 70))
    in_torch(opt, params, range(20, 70), scheduler=scheduler)
    for name, p in params.items():
        np.testing.assert_allclose(theta[name], p.detach().numpy(), rtol=1e-12, atol=1e-12)


def test_a_frozen_parameter_keeps_its_state_in_a_loop() -> None:
    """It shares its count with others: frozen before the first step, or only now."""
    params = parameters()
    opt = build("adam", named(params))
    in_torch(opt, params, range(BEFORE))
    params["b"].requires_grad_(False)
    theta = here(params)
    optimizer, first = translate(opt), translate_state(opt, theta)

    def step(state: Any, k: Any) -> Any:
        grads = jax.tree.map(lambda p: p + k, theta)
        return optimizer.update(grads, state, theta)[1], None

    last, _ = jax.lax.scan(step, first, jnp.arange(3.0))
    np.testing.assert_array_equal(last[1].mu["b"], opt.state[params["b"]]["exp_avg"])
    assert (np.asarray(last[1].mu["a"]) != np.asarray(first[1].mu["a"])).all()


def test_a_sum_that_is_missing_begins_at_the_initial_value() -> None:
    params = parameters()
    opt = build("adagrad", named(params))
    in_torch(opt, params, range(BEFORE))
    del opt.state[params["b"]]
    state = translate_state(opt, here(params))
    assert state[0][0].sum_of_squares["b"].tolist() == [[0.2, 0.2]] * 3


@pytest.mark.parametrize("names", [None, "abc"])
def test_a_frozen_kernel_that_is_transposed(names: Sequence[str] | None) -> None:
    params = parameters()
    opt = torch.optim.Adam(named(params) if names is None else params.values(), lr=0.01)

    def arrange(of: Any) -> Any:
        return {"a": of["a"], "b": of["b"].T, "c": of["c"]}

    in_torch(opt, params, range(BEFORE), idle=lambda n, k: n == "b")
    theta = arrange(here(params))
    keywords: dict[str, Any] = {"arrange": arrange, "names": names and list(names)}
    state = translate_state(opt, theta, **keywords)
    assert jax.tree.structure(state) == jax.tree.structure(translate(opt, **keywords).init(theta))
    assert state.inner_states[1].inner_state[0].mu["b"].shape == (2, 3)
    refused("pass the torch optimizer", translate_state, opt.state_dict(), theta, **keywords)
    refused("pass the torch optimizer", translate, opt.state_dict(), **keywords)


# More that people meet


@pytest.mark.parametrize(
    ("wrap", "place"),
    [
        (lambda s: {"model": {}, "optimizer": s, "epoch": 3}, r"checkpoint\['optimizer'\]"),
        (lambda s: {"optimizer_states": [s]}, r"checkpoint\['optimizer_states'\]\[0\]"),
    ],
)
def test_a_checkpoint_around_a_state_dict_names_its_place(wrap: Any, place: str) -> None:
    opt = build("adam", named(parameters()))
    for call in (translate, lambda s: translate_state(s, here(parameters()))):
        refused(f"pass {place}", call, wrap(opt.state_dict()))


@pytest.mark.parametrize("extra", ["slow_state", "loss_scaler"])
def test_a_wrapper_around_a_state_dict_is_refused(extra: str) -> None:
    opt = build("adam", named(parameters()))
    refused(f"'{extra}' in the state_dict", translate, {**opt.state_dict(), extra: {}})


def test_a_state_of_other_parameters_is_refused() -> None:
    params = parameters()
    opt = build("adam", named(params))
    in_torch(opt, params, range(3))
    source = opt.state_dict()
    source["state"][7] = source["state"][0]
    refused("entries of parameters that are in no param group", translate, source)


def test_a_plateau_leaves_no_mark_and_the_rate_of_the_moment_goes_on() -> None:
    params = parameters()
    opt = build("adam", named(params))
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(opt, patience=0)
    for loss in (1.0, 2.0, 3.0):
        plateau.step(loss)
    assert opt.param_groups[0]["lr"] < 0.01
    moves(opt, params)


def test_maximize_and_differentiable() -> None:
    params = parameters()
    moves(build("adamw", named(params), maximize=True), params)


def test_a_wrapper_of_a_step_of_another_kind_is_refused() -> None:
    class SAM(torch.optim.Optimizer):
        def __init__(self, params: Any, rho: float) -> None:
            super().__init__(params, {"rho": rho})
            self.base_optimizer = torch.optim.Adam(self.param_groups)
            self.param_groups = self.base_optimizer.param_groups

    opt = SAM(named(parameters()), rho=0.05)
    refused("SAM has no equivalent here", translate, opt)
    refused("'rho' in a param group", translate, opt.state_dict())


def test_a_tied_parameter_has_one_state_under_its_first_name() -> None:
    params = parameters()
    opt = torch.optim.Adam(params.values())
    in_torch(opt, params, range(BEFORE))
    pairs = [*named(params), ("tied", params["a"])]
    state = translate_state(opt, here(params), names=pairs)
    np.testing.assert_array_equal(state[0].mu["a"], opt.state[params["a"]]["exp_avg"])
