"""Each convention takes the path of its source: the installed torch, Keras and TensorFlow.

In float64 the whole path of 200 steps is compared. In float32 two paths diverge by their roundings,
so each step starts from where the source stood, and errors do not add up. A step may be off by a
few units in the last place of the largest value that the parameter had so far (`problem.ulps`).

Where TensorFlow is not installed, closed forms from its documentation take its place, in NumPy and
float64 (`jaxopt_notes.verification.oracle_equations`). They also stand for contrib's AdamW, whose
code can no longer run.
"""

import inspect
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_notes import conventions
from jaxopt_notes.verification import (
    frameworks,
    oracle_keras,
    oracle_tensorflow,
    oracle_torch,
    problem,
)
from jaxopt_notes.verification.settings import Setting, settings
from tests.slow_cases import slow_but

STEPS = 200  # among the slow tests; the rates jump at the 31st
FEW_STEPS = 40
TABLE = [s for s in settings() if s.framework != "optax"]

# Arguments that choose the source's implementation, or that Keras gives every optimizer.
LEFT_OUT = {
    "torch": {"self", "params", "foreach", "capturable", "differentiable", "fused"}
    | {"decoupled_weight_decay"},
    "keras": {"self", "clipnorm", "clipvalue", "global_clipnorm", "use_ema", "ema_momentum"}
    | {"ema_overwrite_frequency", "loss_scale_factor", "gradient_accumulation_steps"}
    | {"name", "kwargs"},
    "tensorflow1": {"self", "use_locking", "name", "use_own_namescope_for_non_slot_vars"},
}

# Each optimizer's last setting under a schedule, by convention; the others are slow tests.
QUICK = list({s.name: s for s in TABLE if s.scheduled}.values())
FEW = 8


def of(framework: str) -> Any:
    table = [s for s in TABLE if s.framework == framework and (s.scheduled or framework == "torch")]
    if framework == "tensorflow1":
        table = [s for s in table if s.optimizer in oracle_tensorflow.CLASSES]
    quick = [(s, FEW_STEPS) for s in QUICK]
    rows = slow_but(quick, [(s, FEW_STEPS) for s in table], lambda row: row[0].label)
    rows += [pytest.param(s, STEPS, id=f"{s.label}, long", marks=pytest.mark.slow) for s in table]
    return pytest.mark.parametrize(("setting", "steps"), rows)


def _label(setting: Setting) -> str:
    return setting.label


def asked(setting: Setting, steps: int) -> tuple[str, dict[str, Any], Any, int]:
    return setting.optimizer, setting.keywords, setting.rate(steps), steps


def judge_way(setting: Setting, steps: int, source: Any) -> None:
    there = source.path(*asked(setting, steps), "float64")
    ours = problem.path(setting.build(steps), steps, "float64")
    assert problem.apart(ours, there, "float64") <= 1e-12


def judge_steps(setting: Setting, steps: int, source: Any, states: Any = ()) -> None:
    there = source.path(*asked(setting, steps), "float32")
    ours = problem.each_step(setting.build(steps), there, "float32", states=states)
    assert problem.ulps(ours, there, "float32") <= FEW


@of("torch")
def test_torch_goes_the_same_way(setting: Setting, steps: int) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    judge_way(setting, steps, oracle_torch)
    if setting.scheduled:  # either rate shows how the two round
        states = oracle_torch.states(*asked(setting, steps), "float32")
        judge_steps(setting, steps, oracle_torch, states)


@of("keras")
def test_keras_goes_the_same_way(setting: Setting, steps: int) -> None:
    pytest.importorskip("keras", reason="Keras is not installed")
    judge_way(setting, steps, oracle_keras)
    judge_steps(setting, steps, oracle_keras)


@pytest.fixture(name="tensorflow")
def _tensorflow() -> Any:
    reason = "TensorFlow is not installed: jaxopt-notes[tensorflow]"
    pytest.importorskip("tensorflow", reason=reason)
    return oracle_tensorflow.load()


def rounded(setting: Setting) -> Setting:
    """The setting with keywords and defaults rounded to float32, as they are before 1 − β."""
    function = getattr(conventions.tensorflow1, setting.optimizer)
    defaults = {n: p.default for n, p in inspect.signature(function).parameters.items()}
    del defaults["learning_rate"]
    chosen = (defaults | setting.keywords).items()
    return setting._replace(
        keywords={n: float(np.float32(x)) if isinstance(x, float) else x for n, x in chosen}
    )


def multiplied_up(decay: float, t: jax.Array) -> jax.Array:
    """1 − β^t in float32, by TensorFlow's product instead of the power."""
    powers = np.cumprod(np.full(STEPS, decay, np.float32), dtype=np.float32)
    return 1 - jnp.asarray(powers)[t - 1]


@pytest.mark.usefixtures("tensorflow")
@of("tensorflow1")
def test_tensorflow_goes_the_same_way(setting: Setting, steps: int) -> None:
    judge_way(setting, steps, oracle_tensorflow)
    # Without these two roundings, Adam's steps are off by up to 110 units, and only Adam's.
    with patch("jaxopt_notes.optimizers.moments.correction", multiplied_up):
        judge_steps(rounded(setting), steps, oracle_tensorflow)


def test_tensorflow_rounds_python_numbers_to_float32(tensorflow: Any) -> None:
    theta, ones = tensorflow.Variable([1.0], dtype="float64"), np.ones(1)
    opt = tensorflow.compat.v1.train.RMSPropOptimizer(0.1, decay=0.9)
    opt.apply_gradients([(tensorflow.constant(ones), theta)])
    with jax.enable_x64(True):
        rate, decay = (float(np.float32(x)) for x in (0.1, 0.9))
        optimizer = conventions.tensorflow1.rmsprop(rate, decay)
        here = ones + optimizer.update(ones, optimizer.init(ones))[0]
    np.testing.assert_allclose(here, theta.numpy(), rtol=1e-15)
    assert abs(theta.numpy()[0] - 0.9) > 1e-9


BY_EQUATION = [s for s in TABLE if s.framework in ("notes", "tensorflow1") and s.scheduled]


@pytest.mark.parametrize("setting", slow_but(QUICK, BY_EQUATION, _label))
def test_written_equation_goes_the_same_way(setting: Setting) -> None:
    there = frameworks.path(setting.name, setting.keywords, setting.rate(STEPS), STEPS, "float64")
    ours = problem.path(setting.build(STEPS), STEPS, "float64")
    assert problem.apart(ours, there, "float64") <= 1e-12


@pytest.mark.parametrize("framework", ["notes", "torch", "keras", "tensorflow1"])
def test_every_keyword_is_run(framework: str) -> None:
    module = getattr(conventions, framework)
    for name in {s.optimizer for s in TABLE if s.framework == framework}:
        run = {
            k for s in TABLE if (s.framework, s.optimizer) == (framework, name) for k in s.keywords
        }
        keywords = set(inspect.signature(getattr(module, name)).parameters)
        assert keywords - run <= {"lr", "learning_rate", "alpha", "eta"}, name


@pytest.mark.parametrize("name", list(oracle_torch.CLASSES))
def test_torch_names_defaults_and_order(name: str) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    same_signature(
        getattr(conventions.torch, name), getattr(torch.optim, oracle_torch.CLASSES[name]), "torch"
    )


@pytest.mark.parametrize("name", list(oracle_keras.CLASSES))
def test_keras_names_defaults_and_order(name: str) -> None:
    pytest.importorskip("keras", reason="Keras is not installed")
    optimizers = oracle_keras.load().optimizers
    same_signature(
        getattr(conventions.keras, name), getattr(optimizers, oracle_keras.CLASSES[name]), "keras"
    )


@pytest.mark.parametrize("name", list(oracle_tensorflow.CLASSES))
def test_tensorflow_names_defaults_and_order(name: str, tensorflow: Any) -> None:
    source = getattr(tensorflow.compat.v1.train, oracle_tensorflow.CLASSES[name])
    same_signature(getattr(conventions.tensorflow1, name), source, "tensorflow1")


def same_signature(ours: Any, framework_class: Any, framework: str) -> None:
    here = {n: p.default for n, p in inspect.signature(ours).parameters.items()}
    there = inspect.signature(framework_class.__init__).parameters
    there = {n: p.default for n, p in there.items() if n not in LEFT_OUT[framework]}
    assert list(here.items()) == list(there.items())


def test_gradients_that_underflow_when_squared_still_move() -> None:
    g = {name: np.full(shape, 1e-30, "float32") for name, shape in problem.SHAPES.items()}
    for optimizer in [
        conventions.torch.adagrad(eps=1e-25),
        conventions.keras.adagrad(initial_accumulator_value=0.0),
    ]:
        updates, _ = jax.jit(optimizer.update)(g, optimizer.init(g))
        assert all((np.asarray(u) < 0).all() for u in updates.values())


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: conventions.torch.sgd(nesterov=True), "nesterov=True needs momentum"),
        (lambda: conventions.torch.sgd(momentum=-1.0), r"decay=-1.0 is outside \[0, 1\]"),
        (lambda: conventions.torch.adam(betas=(1.0, 0.9)), r"b1=1.0 is outside \[0, 1\)"),
        (lambda: conventions.keras.adagrad(epsilon=-1.0), "epsilon=-1.0 must be finite"),
        (lambda: conventions.tensorflow1.adagrad(0.1, 0.0), "must be > 0"),
    ],
)
def test_refuses_what_the_source_refuses(build: Callable[[], Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        build()


@pytest.mark.parametrize("setting", [s for s in TABLE if not s.scheduled], ids=_label)
def test_hyperparameters_can_be_injected(setting: Setting) -> None:
    function = getattr(getattr(conventions, setting.framework), setting.optimizer)
    rates = {"lr", "learning_rate", "alpha", "eta"} & set(inspect.signature(function).parameters)
    if (setting.framework, setting.optimizer) == ("torch", "rmsprop"):
        rates = {"lr"}  # its alpha is a decay
    keywords = {k: x for k, x in setting.keywords.items() if not isinstance(x, bool)}
    theta = np.ones(3, np.float32)
    plain = function(**dict.fromkeys(rates, 0.5), **keywords)
    injected = optax.inject_hyperparams(function)(**dict.fromkeys(rates, 0.1), **keywords)
    state = injected.init(theta)
    for rate in rates:
        state.hyperparams[rate] = np.float32(0.5)

    @jax.jit
    def both(state: Any) -> Any:
        there, _ = plain.update(theta, plain.init(theta), theta)
        return injected.update(theta, state, theta)[0], there

    here, there = both(state)
    # An injected β is rounded to float32 before 1 − β is taken.
    np.testing.assert_allclose(here, there, rtol=2e-5)
