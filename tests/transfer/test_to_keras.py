"""An optimizer here becomes Keras': settings, state, schedule; or it is refused by name."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_notes import conventions
from jaxopt_notes.conventions import translate, translate_state
from jaxopt_notes.errors import InputError, MissingExtraError
from jaxopt_notes.extras import installed
from jaxopt_notes.transfer import to_keras_optimizer
from jaxopt_notes.verification import oracle_keras
from tests import keras_runs

if not installed("keras"):
    pytest.skip("Keras is not installed", allow_module_level=True)
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
keras = oracle_keras.load()
optimizers, schedules = keras.optimizers, keras.optimizers.schedules


def stepped(optimizer: Any, steps: int = 3) -> tuple[Any, Any]:
    """The state and the parameters after steps on ones."""
    params = keras_runs.values(keras_runs.variables("float32"))
    state = optimizer.init(params)

    @jax.jit
    def step(state: Any, params: Any) -> Any:
        updates, state = optimizer.update(jax.tree.map(jnp.ones_like, params), state, params)
        return state, optax.apply_updates(params, updates)

    for _ in range(steps):
        state, params = step(state, params)
    return state, params


def back(optimizer: Any, state: Any, params: Any, **keywords: Any) -> Any:
    keywords = {"load_weights": True, **keywords}
    return to_keras_optimizer(optimizer, state, params, keras_runs.variables("float32"), **keywords)


MAKERS = {
    "sgd": lambda: optimizers.SGD(0.1, momentum=0.9, clipvalue=0.5, nesterov=True),
    "adagrad": lambda: optimizers.Adagrad(schedules.CosineDecay(0.1, 10)),
    "rmsprop": lambda: optimizers.RMSprop(0.1, momentum=0.9, centered=True, global_clipnorm=1.0),
    "adamw": lambda: excluding_bias(optimizers.AdamW(0.1, weight_decay=0.5, amsgrad=True)),
}


def excluding_bias(opt: Any) -> Any:
    opt.exclude_from_weight_decay(var_names=["bias"])
    return opt


@pytest.mark.parametrize("name", list(MAKERS))
def test_nothing_is_lost_on_the_way_here_and_back(name: str) -> None:
    opt, variables = MAKERS[name](), keras_runs.variables("float32")
    opt.build(variables)
    gradients = {
        v.path: np.stack([np.full(v.shape, k - 0.3, np.float32) for k in range(2)])
        for v in variables
    }
    keras_runs.steps(opt, variables, gradients, range(2))
    params = keras_runs.values(variables)
    again = back(translate(opt), translate_state(opt, params), params, steps=2)
    assert type(again) is type(opt)
    drop = {"name", "ema_momentum"}
    configs = [{k: v for k, v in o.get_config().items() if k not in drop} for o in (again, opt)]
    assert configs[0] == configs[1]
    for one, other in zip(again.variables, opt.variables):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    if name == "adamw":
        assert [again._use_weight_decay(v) for v in again._trainable_variables] == [True, False]


def test_a_function_becomes_a_schedule_at_its_step() -> None:
    factory = partial(conventions.keras.sgd, lambda k: 0.5 / (1 + k), momentum=0.5)
    opt = back(factory, *stepped(factory()))
    assert int(opt.iterations) == 3
    assert float(opt.learning_rate) == 0.125
    with pytest.raises(NotImplementedError, match="pass learning_rate=, a Keras schedule"):
        opt.get_config()


def test_a_keras_schedule_with_the_same_values_can_be_saved() -> None:
    decay = optax.exponential_decay(0.5, 10, 0.5)
    factory = partial(conventions.keras.sgd, decay)
    state, params = stepped(factory())
    same = schedules.ExponentialDecay(0.5, 10, 0.5)
    opt = back(factory, state, params, learning_rate=same)
    assert opt.get_config()["learning_rate"]["class_name"] == "ExponentialDecay"
    other = schedules.ExponentialDecay(0.5, 20, 0.5)
    refused(
        "learning_rate is 0.450625 after 3 steps, but 0.406126 here",
        partial(back, factory, state, params, learning_rate=other),
    )


@pytest.mark.parametrize(
    ("optimizer", "kind"),
    [
        (optax.sgd(0.1, momentum=0.9, nesterov=True), "SGD"),
        (optax.rmsprop(0.1, decay=0.8, eps=1e-5, momentum=0.9), "RMSprop"),
        (optax.adagrad(0.1), "Adagrad"),
        (
            optax.adamw(0.1, eps=0.0, mask={"weight": True, "bias": False}, weight_decay=0.25),
            "AdamW",
        ),
    ],
    ids=["sgd", "rmsprop", "adagrad", "adamw whose bias does not decay"],
)
def test_optax_optimizers_that_keras_has(optimizer: Any, kind: str) -> None:
    state, params = stepped(optimizer)
    variables = keras_runs.variables("float32")
    opt = to_keras_optimizer(optimizer, state, params, variables, load_weights=True)
    assert type(opt).__name__ == kind
    ones = {name: np.ones((1, *p.shape), np.float32) for name, p in params.items()}
    keras_runs.steps(opt, variables, ones, range(1))
    _, expected = stepped(optimizer, 4)
    for v in variables:
        np.testing.assert_allclose(v.numpy(), expected[v.path], rtol=1e-6, atol=1e-7)


def test_a_nested_tree_goes_back_by_its_arrangement() -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, name="out")])
    names = [f"{model.name}/out/{part}" for part in ("kernel", "bias")]
    tree = {"out": dict(zip(["kernel", "bias"], names))}
    values = {"kernel": np.arange(6.0, dtype=np.float32).reshape(3, 2), "bias": np.ones(2, "f")}
    params = {"out": {name: jax.device_put(x) for name, x in values.items()}}
    factory = partial(conventions.keras.sgd, 0.1, momentum=0.9)
    state = optax.tree.map_params(factory(), lambda v, p: 2 * p, factory().init(params), params)
    for arrange in (tree, lambda of: jax.tree.map(of.get, tree)):
        opt = to_keras_optimizer(
            factory, state, params, model, arrange=arrange, load_weights=True, steps=7
        )
        assert int(opt.iterations) == 7
        for v, momentum in zip(model.trainable_variables, opt.momentums):
            np.testing.assert_array_equal(momentum.numpy(), 2 * v.numpy())
    assert model.trainable_variables[0].numpy()[2, 1] == 5.0


def refused(says: str, call: Any, *args: Any, **keywords: Any) -> None:
    with pytest.raises(InputError) as error:
        call(*args, **keywords)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_refuses_what_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    factory = partial(conventions.keras.adam, 0.5)
    state, params = stepped(factory())
    refused(
        "'weight' has other values than params", back, factory, state, params, load_weights=False
    )
    refused("steps=7: the state counts 3", back, factory, state, params, steps=7)
    refused("has no trainable variables", to_keras_optimizer, factory, state, params, [])
    half = jax.tree.map(lambda p: p.astype(jnp.bfloat16), params)
    refused(
        "'weight' is float32, but bfloat16 in params", back, factory, factory().init(half), half
    )
    late = state[0]._replace(count=state[0].count + 1)
    falling = partial(conventions.keras.adam, lambda k: 0.5)
    clock = (late, *falling().init(params)[1:])
    refused("the state counts 0 and 4 steps; Keras has one count", back, falling, clock, params)
    with keras_runs.in_dtype("float64"):
        wide = keras_runs.variables("float64")
        params = keras_runs.values(wide)
        keras.backend.set_floatx("float32")
        call = partial(to_keras_optimizer, factory, factory().init(params), params, wide)
        refused("but Keras would round the learning rate to float32", call)
    monkeypatch.setattr("jaxopt_notes.extras.installed", lambda module: False)
    with pytest.raises(MissingExtraError, match=r"pip install 'jaxopt-notes\[keras\]'"):
        back(factory, state, params)


def test_refuses_groups_that_differ() -> None:
    labels = {"weight": "fast", "bias": "slow"}
    two = optax.partition({"fast": optax.sgd(0.5), "slow": optax.sgd(0.25)}, labels)
    refused(
        "stepped with different learning_rate, but Keras has no param groups",
        back,
        two,
        *stepped(two),
    )
    still = optax.partition({"fast": optax.sgd(0.5), "slow": optax.set_to_zero()}, labels)
    refused("'bias' is not stepped here, but Keras would step it", back, still, *stepped(still))


def test_refuses_an_epsilon_that_keras_puts_elsewhere() -> None:
    params = {"only": jnp.ones(3)}
    variables = [keras.Variable(params["only"], name="only")]
    adam = optax.adam(0.1)
    call = partial(to_keras_optimizer, adam, adam.init(params), params, variables)
    refused("added after the bias correction, where Keras' Adam adds it before", call)
