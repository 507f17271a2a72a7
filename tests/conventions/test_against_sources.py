"""Each convention goes where its source goes: the installed torch and Keras, the written equation.

TensorFlow 1 is too heavy to install for a test: its optimizers are held to closed forms from its
documentation, in NumPy and float64 (`jaxopt_notes.verification.equations`).
"""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax
import pytest

from jaxopt_notes import conventions
from jaxopt_notes.verification import books, by_keras, by_torch, problem
from jaxopt_notes.verification.settings import Setting, settings

STEPS = 200
TABLE = [s for s in settings() if s.book != "optax"]

# What chooses the source's implementation, and what Keras does beside its optimizers.
LEFT_OUT = {
    "torch": {"self", "params", "foreach", "capturable", "differentiable", "fused"}
    | {"decoupled_weight_decay"},
    "keras": {"self", "clipnorm", "clipvalue", "global_clipnorm", "use_ema", "ema_momentum"}
    | {"ema_overwrite_frequency", "loss_scale_factor", "gradient_accumulation_steps"}
    | {"name", "kwargs"},
}


def of(book: str) -> Any:
    table = [s for s in TABLE if s.book == book and (s.scheduled or book == "torch")]
    return pytest.mark.parametrize("setting", table, ids=_label)


def _label(setting: Setting) -> str:
    return setting.label


def judge(setting: Setting, source: Callable[..., problem.Path]) -> None:
    """float64 to 1e-12 of the way; float32 to a few units in the last place for 200 steps."""
    rate, keywords = setting.rate(STEPS), setting.keywords
    # A changing rate tempts more in float64; in float32 either shows how the two round.
    there = source(setting.optimizer, keywords, rate, STEPS, "float64")
    ours = problem.path(setting.build(STEPS), STEPS, "float64")
    assert problem.apart(ours, there, "float64") <= 1e-12
    assert problem.ulps(ours, there, "float64") <= 32
    if setting.scheduled:
        there = source(setting.optimizer, keywords, rate, STEPS, "float32")
        ours = problem.path(setting.build(STEPS), STEPS, "float32")
        assert problem.ulps(ours, there, "float32") <= 48


@of("torch")
def test_torch_goes_the_same_way(setting: Setting) -> None:
    pytest.importorskip("torch", reason="torch is not installed")
    judge(setting, by_torch.path)


@of("keras")
def test_keras_goes_the_same_way(setting: Setting) -> None:
    pytest.importorskip("keras", reason="Keras is not installed")
    judge(setting, by_keras.path)


BY_EQUATION = [s for s in TABLE if s.book in ("notes", "tensorflow1") and s.scheduled]


@pytest.mark.parametrize("setting", BY_EQUATION, ids=_label)
def test_written_equation_goes_the_same_way(setting: Setting) -> None:
    there = books.path(setting.name, setting.keywords, setting.rate(STEPS), STEPS, "float64")
    ours = problem.path(setting.build(STEPS), STEPS, "float64")
    assert problem.apart(ours, there, "float64") <= 1e-12


@pytest.mark.parametrize("book", ["notes", "torch", "keras", "tensorflow1"])
def test_every_keyword_is_run(book: str) -> None:
    module = getattr(conventions, book)
    for name in {s.optimizer for s in TABLE if s.book == book}:
        run = {k for s in TABLE if (s.book, s.optimizer) == (book, name) for k in s.keywords}
        keywords = set(inspect.signature(getattr(module, name)).parameters)
        assert keywords - run <= {"lr", "learning_rate", "alpha", "eta"}, name


@pytest.mark.parametrize("name", list(by_torch.CLASSES))
def test_torch_names_defaults_and_order(name: str) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    same_signature(
        getattr(conventions.torch, name), getattr(torch.optim, by_torch.CLASSES[name]), "torch"
    )


@pytest.mark.parametrize("name", list(by_keras.CLASSES))
def test_keras_names_defaults_and_order(name: str) -> None:
    pytest.importorskip("keras", reason="Keras is not installed")
    optimizers = by_keras.load().optimizers
    same_signature(
        getattr(conventions.keras, name), getattr(optimizers, by_keras.CLASSES[name]), "keras"
    )


def same_signature(ours: Any, theirs: Any, book: str) -> None:
    here = {n: p.default for n, p in inspect.signature(ours).parameters.items()}
    there = inspect.signature(theirs.__init__).parameters
    there = {n: p.default for n, p in there.items() if n not in LEFT_OUT[book]}
    assert list(here.items()) == list(there.items())


def test_gradients_that_underflow_when_squared_still_move() -> None:
    g = {name: np.full(shape, 1e-30, "float32") for name, shape in problem.SHAPES.items()}
    for optimizer in [
        conventions.torch.adagrad(eps=1e-25),
        conventions.keras.adagrad(initial_accumulator_value=0.0),
    ]:
        updates, _ = optimizer.update(g, optimizer.init(g))
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
    function = getattr(getattr(conventions, setting.book), setting.optimizer)
    rates = {"lr", "learning_rate", "alpha", "eta"} & set(inspect.signature(function).parameters)
    if (setting.book, setting.optimizer) == ("torch", "rmsprop"):
        rates = {"lr"}  # its alpha is a decay
    keywords = {k: x for k, x in setting.keywords.items() if not isinstance(x, bool)}
    theta = np.ones(3, np.float32)
    plain = function(**dict.fromkeys(rates, 0.5), **keywords)
    injected = optax.inject_hyperparams(function)(**dict.fromkeys(rates, 0.1), **keywords)
    state = injected.init(theta)
    for rate in rates:
        state.hyperparams[rate] = np.float32(0.5)
    here, _ = jax.jit(injected.update)(theta, state, theta)
    there, _ = plain.update(theta, plain.init(theta), theta)
    # An injected β is rounded to float32 before 1 − β is taken.
    np.testing.assert_allclose(here, there, rtol=2e-5)
