"""A run moves from Keras to JAX in mid-training: its state, its schedule, its gradient clipping.

The whole way there and back, for every setting, is in tests/transfer/test_keras_there_and_back.py.
"""

import json
import zipfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_notes.conventions import translate, translate_state
from jaxopt_notes.conventions.keras_schedules import schedule_of
from jaxopt_notes.errors import InputError
from jaxopt_notes.verification import oracle_keras, problem
from tests import keras_runs
from tests.slow_cases import slow_but

pytest.importorskip("keras", reason="Keras is not installed")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
keras = oracle_keras.load()
optimizers, schedules = keras.optimizers, keras.optimizers.schedules

SCHEDULES = [
    schedules.ExponentialDecay(0.1, 30, 0.9),
    schedules.ExponentialDecay(0.1, 7, 0.9, staircase=True),
    schedules.InverseTimeDecay(0.1, 30, 0.7),
    schedules.InverseTimeDecay(0.1, 7, 0.7, staircase=True),
    schedules.PolynomialDecay(0.1, 64, 0.01, power=0.5),
    schedules.PolynomialDecay(0.1, 30, 0.01, power=2.0, cycle=True),
    schedules.PiecewiseConstantDecay([10, 50.5, 120], [0.1, 0.05, 0.3, 0.01]),
    schedules.CosineDecay(0.1, 100, alpha=0.1),
    schedules.CosineDecay(0.0, 100, alpha=0.1, warmup_target=0.3, warmup_steps=20),
    schedules.CosineDecayRestarts(0.1, 10, 1.5, 0.8, 0.05),
    schedules.CosineDecayRestarts(0.1, 10, 2.0),
    schedules.CosineDecayRestarts(0.1, 10, 1.0, 0.9),
]
STEPS = 200
EACH_KIND = list({type(s): s for s in SCHEDULES}.values())


@pytest.mark.parametrize("schedule", slow_but(EACH_KIND, SCHEDULES, lambda s: type(s).__name__))
def test_each_schedule_has_keras_values_over_a_whole_run(schedule: Any) -> None:
    ours = schedule_of(json.loads(json.dumps(schedules.serialize(schedule))))
    for dtype, of in (("float32", 2e-7), ("float64", 1e-14)):
        with keras_runs.in_dtype(dtype):
            both = jax.jit(jax.vmap(lambda k: (ours(k), schedule(k))))
            here, there = map(np.asarray, both(np.arange(STEPS)))
        assert here.dtype == dtype
        # Keras on JAX computes the cosine in float32 even where all else is float64.
        of = 2e-7 if "Cosine" in type(schedule).__name__ else of
        np.testing.assert_allclose(here, there, rtol=0, atol=of * there.max())


def test_the_root_of_the_rounding_below_0_is_0() -> None:
    decay = schedules.PolynomialDecay(0.1, 100, 0.01, power=0.5)  # from step 100 on Keras has NaN
    with keras_runs.in_dtype("float64"):
        here = jax.jit(schedule_of(schedules.serialize(decay)))(150)
    np.testing.assert_allclose(here, 0.01)


def built(opt: Any, dtype: str = "float32") -> tuple[Any, list[Any]]:
    variables = keras_runs.variables(dtype)
    opt.build(variables)
    return opt, variables


def goes_on(make: Any, steps: int = 24, dtype: str = "float64", **keywords: Any) -> None:
    """Half of the steps in Keras and half here equal all steps in Keras."""
    gs, half = problem.gradients(steps, dtype), steps // 2
    with keras_runs.in_dtype(dtype):
        opt, variables = built(make(), dtype)
        keras_runs.steps(opt, variables, gs, range(half))
        params = keras_runs.values(variables)
        state = translate_state(opt, params, **keywords)
        optimizer = translate(opt, **keywords)
        ours = problem.path(optimizer, steps, dtype, params=params, state=state, first=half)
        there = keras_runs.steps(opt, variables, gs, range(half, steps))
    assert problem.apart(ours, there, dtype) <= 1e-12


@pytest.mark.parametrize("how", ["clipnorm", "global_clipnorm", "clipvalue"])
def test_gradient_clipping_comes_along(how: str) -> None:
    goes_on(lambda: optimizers.SGD(0.01, momentum=0.9, **{how: 0.5}))


def test_an_infinite_gradient_makes_all_nan_as_in_keras() -> None:
    optimizer = translate(optimizers.SGD(0.1, global_clipnorm=1.0))
    grads = {"a": np.array([np.inf], np.float32), "b": np.ones(2, np.float32)}
    updates, _ = jax.jit(optimizer.update)(grads, optimizer.init(grads), grads)
    assert all(np.isnan(u).all() for u in updates.values())


def test_a_schedule_goes_on_at_its_step() -> None:
    goes_on(lambda: optimizers.SGD(schedules.ExponentialDecay(0.1, 5, 0.5), momentum=0.9))


def excluding(opt: Any, **what: Any) -> Any:
    opt.exclude_from_weight_decay(**what)
    return opt


def test_exclude_from_weight_decay_comes_along() -> None:
    make = lambda: excluding(  # noqa: E731
        optimizers.AdamW(0.01, weight_decay=0.5), var_names=["bias"]
    )
    goes_on(make)
    goes_on(make, arrange=lambda of: dict(of))
    # Before it is built, the optimizer has not seen the variables.
    params = problem.start("float32")
    optimizer = translate(make(), names=keras_runs.variables("float32"))
    zeros = {name: np.zeros_like(p) for name, p in params.items()}
    params["bias"] = params["bias"] + 1
    updates, _ = jax.jit(optimizer.update)(zeros, optimizer.init(params), params)
    assert np.all(np.asarray(updates["weight"]) != 0)
    assert np.all(np.asarray(updates["bias"]) == 0)
    refused("variables that this optimizer has not seen: pass names=model", translate, make())


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
def test_a_variable_without_a_gradient_is_passed_over() -> None:
    opt, variables = built(optimizers.AdamW(0.01, weight_decay=0.5))
    params = keras_runs.values(variables)
    optimizer, state = translate(opt), translate_state(opt, params)
    ones = {name: np.ones(p.shape, np.float32) for name, p in params.items()}
    update, apply = jax.jit(optimizer.update), jax.jit(opt.stateless_apply)
    there, memory = [v.value for v in variables], [v.value for v in opt.variables]
    for grads in (ones, {**ones, "bias": None}, ones):
        there, memory = apply(memory, list(grads.values()), there)
        updates, state = update(grads, state, params)
        params = {
            n: p if updates[n] is None else np.asarray(p) + np.asarray(updates[n])
            for n, p in params.items()
        }
    for v, value in zip(variables, there):
        np.testing.assert_allclose(params[v.path], value, rtol=1e-6, atol=1e-9)


@pytest.fixture(name="model", scope="module")
def _model() -> Any:
    """A model after three steps of `fit`."""
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(2, name=name) for name in ("one", "two")]
    model = keras.Sequential([keras.Input((3,)), *layers], name="net")
    model.compile(optimizers.Adam(0.01, amsgrad=True), "mse")
    x = np.random.default_rng(0).normal(size=(12, 3))
    model.fit(x, x[:, :2], batch_size=4, verbose=0)
    return model


def same(one: Any, other: Any) -> None:
    assert jax.tree.structure(one) == jax.tree.structure(other)
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_the_state_comes_from_the_optimizer_or_from_what_it_saved(
    model: Any, tmp_path: Path
) -> None:
    h5py = pytest.importorskip("h5py")
    params = keras_runs.values(model.trainable_variables)
    live = translate_state(model.optimizer, params)
    assert int(live[0].count) == 3
    same(live[0].nu_max["net/one/bias"], model.optimizer._velocity_hats[1].numpy())
    store: dict[str, Any] = {}
    model.optimizer.save_own_variables(store)
    config = model.optimizer.get_config()
    same(live, translate_state(config, params, names=model, variables=store))
    same(live, translate_state(config, params, names=model, variables=list(store.values())))
    # The files that `save` writes; without names, the variables are in Keras' order.
    model.save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        config = json.loads(archive.read("config.json"))["compile_config"]["optimizer"]
        archive.extract("model.weights.h5", tmp_path)
    with h5py.File(tmp_path / "model.weights.h5") as file:
        saved = file["optimizer/vars"]
        in_order = translate_state(config, list(params.values()), variables=saved)
        refused("pass file['optimizer/vars']", translate_state, config, params, variables=file)
    same(list(map(live[0].mu.get, params)), in_order[0].mu)
    same(list(map(live[0].nu_max.get, params)), in_order[0].nu_max)


def test_arranged_as_flax_has_it(model: Any) -> None:
    layers = {"one": "net/one", "two": "net/two"}
    names = {
        here: {part: f"{there}/{part}" for part in ("kernel", "bias")}
        for here, there in layers.items()
    }
    params = jax.tree.map(keras_runs.values(model.trainable_variables).get, names)
    by_names = translate_state(model.optimizer, params, arrange=names)
    by_function = translate_state(
        model.optimizer, params, arrange=lambda of: jax.tree.map(of.get, names)
    )
    same(by_names, by_function)
    same(by_names[0].mu["two"]["kernel"], model.optimizer._momentums[2].numpy())
    refused("params is nested", translate_state, model.optimizer, params)


def test_later_steps_in_keras_leave_the_state_as_it_was() -> None:
    opt, variables = built(optimizers.SGD(0.1, momentum=0.9))
    opt.apply([jnp.ones(v.shape) for v in variables])
    state = translate_state(opt, keras_runs.values(variables))
    before = np.array(jax.tree.leaves(state)[0])
    opt.apply([jnp.ones(v.shape) for v in variables])
    np.testing.assert_array_equal(jax.tree.leaves(state)[0], before)


def test_bfloat16_comes_out_of_hdf5(tmp_path: Path) -> None:
    array = np.array([1.0, -2.0], jnp.bfloat16)
    saved = [np.int32(3), np.float32(0.5), array.view("V2")]
    config = optimizers.SGD(0.5, momentum=0.9).get_config()
    state = translate_state(config, [jnp.zeros(2, jnp.bfloat16)], variables=saved)
    (trace,) = jax.tree.leaves(state)
    assert trace.dtype == jnp.bfloat16
    assert trace.tolist() == [1.0, -2.0]


def refused(says: str, call: Any, *args: Any, **keywords: Any) -> None:
    with pytest.raises(InputError) as error:
        call(*args, **keywords)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def rate_of_now() -> float:
    return 0.1


def test_refuses_by_name_what_it_cannot_take_along() -> None:
    class Own(schedules.LearningRateSchedule):  # type: ignore[name-defined,misc]
        def __call__(self, step: Any) -> Any:
            return 0.1

    own = optimizers.Adam(Own())
    refused("the learning rate is Keras' Own: pass lr=", translate, own)
    translate(own, lr=0.1)
    refused("the learning rate is Keras' function", translate, optimizers.Adam(rate_of_now))
    whole = optimizers.SGD(schedules.CosineDecay(0, 10, warmup_target=0.1, warmup_steps=5))
    refused("initial_learning_rate=0 is a whole number", translate, whole)
    scaled = optimizers.LossScaleOptimizer(optimizers.Adam())
    refused(
        "LossScaleOptimizer has no equivalent here; pass its inner_optimizer", translate, scaled
    )
    foreign = {**optimizers.serialize(optimizers.Adam()), "module": "somewhere.else"}
    refused("somewhere.else.Adam is not one of Keras' own classes", translate, foreign)
    opt, variables = built(optimizers.Adam())
    variables[0].constraint = keras.constraints.NonNeg()
    refused("'weight' has a constraint, which Keras applies after each step", translate, opt)
    for setting in ({"use_ema": True}, {"loss_scale_factor": 2.0}):
        refused("has no equivalent here", translate, optimizers.Adam(**setting))


def test_refuses_a_state_that_does_not_fit() -> None:
    opt, variables = built(optimizers.Adam(0.5))
    params = keras_runs.values(variables)
    config = opt.get_config()
    saved = [v.numpy() for v in opt.variables]

    def refuses(says: str, source: Any = opt, params: Any = params, **keywords: Any) -> None:
        refused(says, translate_state, source, params, **keywords)

    refuses("is not built: call optimizer.build(", optimizers.Adam())
    refuses("steps=7, but the Keras optimizer counts 0", steps=7)
    refuses("variables go with a config", variables=saved)
    refuses("a Keras config has no state: pass the optimizer, or variables=", config)
    refuses("begins with float32[3, 8], ", config, variables=saved[2:])
    refuses(
        "keeps 4 accumulators for 2 variables; this state has 3",
        config,
        variables=saved[:-1],
        names=["weight", "bias"],
    )
    refuses(
        "the config's learning_rate is 0.5, the saved variable's 0.25",
        config,
        variables=[saved[0], np.float32(0.25), *saved[2:]],
    )
    refuses("no parameter is named 'other'", params={**params, "other": jnp.ones(2)})
    refuses("params has 1 entries, the optimizer 2", params=[params["weight"]])
    refuses(
        "mu at ['bias'] is float32[12], the parameter float32[3]",
        params={**params, "bias": jnp.ones(3)},
    )
    refuses("two variables are named 'a'", names=["a", "a"])
    refuses("names has 1 entries, the Keras optimizer 2", names=["a"])
    refuses("scheduler belongs to a torch optimizer", scheduler={})
