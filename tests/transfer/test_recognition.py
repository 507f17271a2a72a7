"""A transformation is recognised as exactly one of torch's or Keras' optimizers, or as none."""

import inspect
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_notes import conventions, optimizers
from jaxopt_notes.errors import InputError
from jaxopt_notes.transfer import recognize
from jaxopt_notes.verification.mutants import mutants
from jaxopt_notes.verification.settings import settings

torch, keras = conventions.torch, conventions.keras
PARAMS = {"w": jnp.array([[1.5, -0.7], [0.0, 2.0]]), "b": jnp.array([0.3, -1e-3])}
COSINE = optax.warmup_cosine_decay_schedule(0.0, 0.1, 10, 100, 1e-3)


def gradients(step, params):
    random = np.random.default_rng(step)

    def gradient(p):
        g = random.normal(size=p.shape) * 10.0 ** random.integers(-4, 2)
        return np.asarray(g, p.dtype)

    return jax.tree.map(gradient, params)


@partial(jax.jit, static_argnums=0)
def one_step(optimizer, grads, state, params):
    updates, state = optimizer.update(grads, state, params)
    return optax.apply_updates(params, updates), state


def run(optimizer, params, state, steps, first=0):
    """Parameters and state after some steps."""
    for k in range(first, first + steps):
        params, state = one_step(optimizer, gradients(k, params), state, params)
    return params, state


def trained(optimizer, steps=3):
    return run(optimizer, PARAMS, optimizer.init(PARAMS), steps)


def recognized(optimizer, framework="torch", steps=3):
    made = optimizer
    if isinstance(optimizer, partial):
        made = optimizer()
    elif not isinstance(optimizer, optax.GradientTransformation):
        made = optimizer[0](**optimizer[1])
    params, state = trained(made, steps)
    return recognize(optimizer, state, params, framework)


def changed(group, framework="torch"):
    """The learning rate, and the arguments that are not the default."""
    function = getattr(getattr(conventions, framework), group.name)
    rate, *others = inspect.signature(function).parameters.values()
    own = {p.name: group.keywords[p.name] for p in others if group.keywords[p.name] != p.default}
    return {rate.name: group.keywords[rate.name], **own}


# optimizer, name, arguments that are not the default
EXACT = [
    ("torch", optax.sgd(0.1), "sgd", {"lr": 0.1}),
    ("torch", optax.sgd(0.3, 0.9, nesterov=True), "sgd",
     {"lr": 0.3, "momentum": 0.9, "nesterov": True}),
    ("torch", optimizers.momentum(0.1, 0.9), "sgd", {"lr": 0.01, "momentum": 0.9}),
    ("torch", optimizers.adagrad(0.1, 0.2, 1e-8, eps_in_sqrt=False), "adagrad",
     {"lr": 0.1, "initial_accumulator_value": 0.2, "eps": 1e-8}),
    ("torch", optax.rmsprop(0.1, 0.9, 1e-7, eps_in_sqrt=False, centered=True, momentum=0.8),
     "rmsprop", {"lr": 0.1, "alpha": 0.9, "eps": 1e-7, "centered": True, "momentum": 0.8}),
    ("torch", optax.adamw(3e-4, 0.95, 0.99, 1e-6, weight_decay=1 / 3), "adamw",
     {"lr": 3e-4, "betas": (0.95, 0.99), "eps": 1e-6, "weight_decay": 1 / 3}),
    ("torch", optax.chain(optax.add_decayed_weights(0.01), optax.adam(1e-3)), "adam",
     {"lr": 1e-3, "weight_decay": 0.01}),
    ("keras", optax.rmsprop(0.1, 0.95, 1e-7, momentum=0.9), "rmsprop",
     {"learning_rate": 0.1, "rho": 0.95, "momentum": 0.9}),
    ("keras", keras.adam(0.1, 0.8, 0.99, 1e-3, amsgrad=True), "adam",
     {"learning_rate": 0.1, "beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-3, "amsgrad": True}),
]  # fmt: skip
MORE = [
    ("torch", optax.sgd(0.1, 0.9), "sgd", {"lr": 0.1, "momentum": 0.9}),
    ("torch", optax.chain(optax.trace(0.9), optax.scale(-0.1)), "sgd",
     {"lr": 0.1, "momentum": 0.9}),
    ("torch", optax.chain(optax.add_decayed_weights(0.01), optax.sgd(0.1, 0.9)), "sgd",
     {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}),
    ("torch", optax.chain(optax.ema(0.9, debias=False), optax.scale(-0.5)), "sgd",
     {"lr": 0.05, "momentum": 0.9}),
    ("torch", torch.sgd(0.1, 0.9, 0.5, 0.1), "sgd",
     {"lr": 0.1, "momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1}),
    ("torch", optax.chain(optax.adam(0.1), optax.scale(-1.0)), "adam",
     {"lr": 0.1, "maximize": True}),
    # √(G + ε) is the root of a sum that began at G_0 + ε.
    ("torch", optax.adagrad(0.1), "adagrad",
     {"lr": 0.1, "initial_accumulator_value": 0.1000001, "eps": 0.0}),
    ("torch", optax.adam(1e-3), "adam", {"lr": 1e-3}),
    ("torch", optax.adam(1e-3, eps=0.0), "adam", {"lr": 1e-3, "eps": 0.0}),
    ("torch", optax.inject_hyperparams(optax.adamw)(1e-3, weight_decay=0.1), "adamw",
     {"lr": 1e-3, "weight_decay": 0.1}),
    ("torch", optax.inject_hyperparams(optax.rmsprop)(
        1e-3, decay=0.95, eps_in_sqrt=False, momentum=0.9), "rmsprop",
     {"lr": 1e-3, "alpha": 0.95, "momentum": 0.9}),
    ("torch", optax.adam(0.1, b1=0.0), "adam", {"lr": 0.1, "betas": (0.0, 0.999)}),
    ("torch", optax.adam(0.1, b2=0.0), "adam", {"lr": 0.1, "betas": (0.9, 0.0)}),
    ("torch", optax.rmsprop(0.1, 0.0, eps_in_sqrt=False, momentum=0.0), "rmsprop",
     {"lr": 0.1, "alpha": 0.0}),
    ("keras", optax.sgd(0.1, 0.9, True), "sgd",
     {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}),
    ("keras", optax.adagrad(0.1), "adagrad", {"learning_rate": 0.1}),
    ("keras", optax.adam(0.1, eps=0.0), "adam", {"learning_rate": 0.1, "epsilon": 0.0}),
    ("keras", optax.adamw(0.1, eps=0.0, weight_decay=0.1), "adamw",
     {"learning_rate": 0.1, "epsilon": 0.0, "weight_decay": 0.1}),
]  # fmt: skip


def check_exact(framework, optimizer, name, arguments):
    """The name, the very numbers, and the path from the state on, in float64."""
    with jax.enable_x64(True):
        start = jax.tree.map(lambda p: jnp.asarray(p, jnp.float64), PARAMS)
        params, state = run(optimizer, start, optimizer.init(start), 3)
        (group,) = recognize(optimizer, state, params, framework)
        assert (group.name, changed(group, framework)) == (name, arguments)
        other = getattr(getattr(conventions, framework), name)(**group.keywords)
        here, _ = run(optimizer, params, state, 5, first=3)
        there, _ = run(other, params, group.state, 5, first=3)
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-12), here, there)


@pytest.mark.parametrize("case", EXACT, ids=lambda case: f"{case[0]}-{case[2]}")
def test_names_and_numbers_are_exact(case):
    check_exact(*case)


@pytest.mark.slow
@pytest.mark.parametrize("case", MORE, ids=range(len(MORE)))
def test_more_names_and_numbers_are_exact(case):
    check_exact(*case)


@pytest.mark.slow
@pytest.mark.parametrize(
    "setting", [s for s in settings() if s.framework in ("torch", "keras")], ids=lambda s: s.label
)
def test_every_setting_of_the_frameworks_is_found(setting):
    """Without the name of its factory, at the start of a run and in the middle."""
    with jax.enable_x64(True):
        optimizer = setting.build(20)
        params = jax.tree.map(lambda p: jnp.asarray(p, jnp.float64), PARAMS)
        state = optimizer.init(params)
        for steps in (0, 3):
            params, state = run(optimizer, params, state, steps)
            (group,) = recognize(optimizer, state, params, setting.framework)
            decays = {"adam": "adamw"} if setting.framework == "keras" else {}
            name = setting.optimizer
            if setting.keywords.get("weight_decay"):
                name = decays.get(name, name)
            assert group.name == name
            rate = group.keywords["lr" if setting.framework == "torch" else "learning_rate"]
            wanted = setting.rate(20)
            if setting.scheduled:
                # With a schedule, lr_decay is a part of it.
                falling = 1 + np.arange(20) * setting.keywords.get("lr_decay", 0.0)
                np.testing.assert_allclose([rate(k) for k in range(20)], wanted / falling, 1e-12)
            else:
                assert rate == wanted
            for keyword, value in setting.keywords.items():
                if (keyword, setting.scheduled) != ("lr_decay", True):
                    np.testing.assert_allclose(group.keywords[keyword], value, 1e-11)
            function = getattr(getattr(conventions, setting.framework), group.name)
            here, _ = run(optimizer, params, state, 5, first=steps)
            there, _ = run(function(**group.keywords), params, group.state, 5, first=steps)
            jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-11), here, there)


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_optax_settings_are_found_or_refused_never_mistaken(framework):
    """Every setting of the certificate: if it is recognised, the path is the same."""
    labels = []
    with jax.enable_x64(True):
        params = jax.tree.map(lambda p: jnp.asarray(p, jnp.float64), PARAMS)
        for setting in (s for s in settings() if s.framework != framework):
            optimizer = setting.build(20)
            after, state = run(optimizer, params, optimizer.init(params), 3)
            try:
                (group,) = recognize(optimizer, state, after, framework)
            except InputError:
                continue
            labels.append(setting.label)
            function = getattr(getattr(conventions, framework), group.name)
            here, _ = run(optimizer, after, state, 6, first=3)
            there, _ = run(function(**group.keywords), after, group.state, 6, first=3)
            jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-11), here, there)
    assert len(labels) > 20


def test_a_factory_of_the_framework_is_named_at_once():
    optimizer = partial(torch.adamw, 1e-3, weight_decay=0.1)
    (group,) = recognized(optimizer)
    assert (group.name, changed(group)) == ("adamw", {"lr": 1e-3, "weight_decay": 0.1})
    assert all(jax.tree.leaves(group.members))


def test_a_schedule_of_the_program_goes_on_at_its_step():
    optimizer = optax.adamw(COSINE)
    params, state = trained(optimizer, 7)
    (group,) = recognize(optimizer, state, params, "torch")
    rate, counts = group.keywords["lr"], np.array([0, 5, 10, 11, 60, 100, 500], np.int32)
    with jax.enable_x64(True):
        values, wanted = jax.jit(jax.vmap(lambda k: (rate(k), COSINE(k))))(counts)
    assert values.dtype == np.float64
    assert values.tolist() == wanted.tolist()
    assert jax.jit(rate)(11).dtype == jnp.float32
    counts = [int(s.count) for s in group.state if hasattr(s, "count")]
    assert set(counts) == {7}


def falling(count):
    return 0.1 / (1 + count)


def test_the_callers_schedule_is_handed_on():
    (group,) = recognized((optax.adamw, {"learning_rate": falling}))
    assert group.keywords["lr"] is falling


def test_momentum_as_an_average_keeps_its_schedule():
    """The learning rate stands outside the velocity in both: (1 − β) goes into it."""
    (group,) = recognized(optimizers.momentum(falling, 0.75))
    assert [group.keywords["lr"](k) for k in (0, 5)] == [0.25 * 0.1, 0.25 * (0.1 / 6)]


def cycled(count):
    return 0.9 - 0.05 * jnp.sin(count / 7.0)


@pytest.mark.parametrize(
    "optimizer",
    [torch.sgd(COSINE, cycled, nesterov=True), torch.adamw(COSINE, (cycled, 0.99))],
    ids=["momentum", "β1"],
)
def test_a_cycled_momentum_is_a_schedule(optimizer):
    (group,) = recognized(optimizer)
    schedule = group.keywords.get("momentum") or group.keywords["betas"][0]
    with jax.enable_x64(True):
        np.testing.assert_allclose([schedule(k) for k in (0, 9)], [cycled(0), cycled(9)], 1e-15)
    with pytest.raises(InputError, match="changes with the steps"):
        recognized(optimizer, "keras")


def test_a_schedule_that_rounds_beyond_0_does_not_climb():
    ends = optax.join_schedules(
        [optax.linear_schedule(0.0, 0.1, 10), optax.linear_schedule(0.1, 0.0, 30)], [10]
    )
    (group,) = recognized(optax.sgd(ends))
    assert group.keywords["maximize"] is False


def test_masks_and_partitions_are_groups():
    optimizer = optax.adamw(1e-3, mask={"w": True, "b": False})
    without, decayed = recognized(optimizer)
    assert (without.name, decayed.name) == ("adamw", "adamw")  # one torch optimizer for both
    assert (without.keywords["weight_decay"], decayed.keywords["weight_decay"]) == (0.0, 1e-4)
    assert (without.members, decayed.members) == (
        {"w": False, "b": True}, {"w": True, "b": False},
    )  # fmt: skip
    assert isinstance(decayed.state[0].mu["b"], optax.MaskedNode)
    assert decayed.state[0].mu["w"].shape == (2, 2)


def test_counts_of_parts_are_kept_apart():
    optimizer = optax.partition({"a": optax.adam(0.1), "b": optax.adam(0.1)}, {"w": "a", "b": "b"})
    params, state = trained(optimizer, 5)
    late = state.inner_states["b"].inner_state
    late = (late[0]._replace(count=jnp.int32(2)), *late[1:])
    state.inner_states["b"] = state.inner_states["b"]._replace(inner_state=late)
    groups = recognize(optimizer, state, params, "torch")
    assert sorted(int(group.state[0].count) for group in groups) == [2, 5]


def test_a_frozen_parameter_is_in_no_group():
    parts = {"a": optax.sgd(0.1), "still": optax.set_to_zero()}
    (group,) = recognized(optax.partition(parts, {"w": "a", "b": "still"}))
    assert group.members == {"w": True, "b": False}


def test_hyperparameters_in_the_state_are_read_there():
    optimizer = optax.inject_hyperparams(optax.adam)(1e-3)
    params, state = trained(optimizer)
    state.hyperparams["learning_rate"] = jnp.float32(0.02)
    (group,) = recognize(optimizer, state, params, "torch")
    assert group.keywords["lr"] == 0.02


def test_a_lone_number_is_a_parameter():
    optimizer = optax.adam(0.1)
    (group,) = recognize(optimizer, optimizer.init(jnp.float32(1)), jnp.float32(1), "torch")
    assert (group.name, group.members) == ("adam", True)
    assert group.state[0].mu.shape == ()


def bent(g):
    """A step that only the proof can see: between the gradients at which the parts are measured."""
    return -0.1 * jnp.where((jnp.abs(g) > 1.1) & (jnp.abs(g) < 2.5), 2.0 * g, g)


LATER = optax.piecewise_constant_schedule(0.1, {1000: 0.5})  # far behind the steps of the proof
REFUSED = [
    ("torch", optax.stateless(lambda grads, _: jax.tree.map(bent, grads)), "its steps are not"),
    (
        "torch",
        optax.chain(optax.add_decayed_weights(LATER), optax.sgd(0.1)),
        "does not change in proportion",
    ),
    ("torch", optax.rmsprop(0.1), r"ε is inside the root.*eps=0\.0001"),
    ("torch", optax.rmsprop(COSINE, eps_in_sqrt=False, momentum=0.9), "inside the velocity"),
    ("torch", optax.rmsprop(0.1, eps_in_sqrt=False, bias_correction=True), "corrects the bias"),
    ("torch", optax.lion(0.1), "takes its sign"),
    ("torch", optax.adam(0.1, eps_root=1e-8), "eps_root"),
    ("torch", optax.nadam(0.1), "looks ahead"),
    ("torch", optax.amsgrad(0.1), "maximum after the bias correction"),
    ("torch", optax.chain(optax.clip_by_global_norm(1.0), optax.sgd(0.1)), "clip_grad_norm_"),
    ("torch", optax.chain(optax.clip(1.0), optax.sgd(0.1)), "clip_grad_value_"),
    ("torch", optax.MultiSteps(optax.sgd(0.1), 4).gradient_transformation(), "inner_opt_state"),
    ("torch", optax.apply_if_finite(optax.sgd(0.1), 4), "apply_if_finite"),
    ("torch", optax.chain(optax.ema(0.9), optax.scale(-0.1)), "by no schedule"),
    ("torch", optax.adam(0.1, mu_dtype=jnp.bfloat16), "bfloat16"),
    ("torch", keras.adam(0.1), "before the bias correction"),
    ("torch", keras.sgd(0.1, 0.9, weight_decay=0.1), "decoupled"),
    (
        "torch",
        optax.chain(optax.adam(COSINE), optax.add_decayed_weights(-0.01)),
        "does not change in proportion to its learning rate",
    ),
    ("torch", optimizers.handover(optimizers.adam(0.1), optimizers.sgd(0.1), 100), "handover"),
    ("torch", optax.lamb(0.1), "several elements at once"),
    ("keras", optax.adam(0.1), "ε = 0"),
    ("keras", torch.sgd(0.1, maximize=True), "negate the loss"),
    ("keras", optax.sgd(COSINE, 0.9), "outside the velocity"),
    ("keras", torch.adam(0.1, eps=0.0, weight_decay=0.1), r"L2\(0\.05\)"),
]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case[2][:20])
def test_what_has_no_equal_is_refused_with_the_reason(case):
    framework, optimizer, message = case
    with pytest.raises(InputError, match=message):
        recognized(optimizer, framework)


def with_error(mutant):
    """The mutant's optimizer as a transformation: the error stands in its own code alone."""
    with mutant.in_place():
        optimizer = mutant.setting.build(20)

    def init(params):
        with mutant.in_place():
            return optimizer.init(params)

    def update(updates, state, params=None):
        with mutant.in_place():
            return optimizer.update(updates, state, params)

    return optax.GradientTransformation(init, update)


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_wrong_formulas_are_never_taken_for_right_ones(framework):
    """An optimizer with an error planted is refused, or is another optimizer of the framework."""
    refused = 0
    with jax.enable_x64(True):
        params = jax.tree.map(lambda p: jnp.asarray(p, jnp.float64), PARAMS)
        for mutant in mutants():
            optimizer = with_error(mutant)
            state = optimizer.init(params)
            try:
                (group,) = recognize(optimizer, state, params, framework)
            except InputError:
                refused += 1
                continue
            function = getattr(getattr(conventions, framework), group.name)
            right = function(**group.keywords)
            here, _ = run(optimizer, params, state, 6)
            there, _ = run(right, params, group.state, 6)
            for x, y in zip(jax.tree.leaves(here), jax.tree.leaves(there)):
                np.testing.assert_allclose(x, y, 1e-10, err_msg=str((mutant, group.keywords)))
    assert refused > 30
