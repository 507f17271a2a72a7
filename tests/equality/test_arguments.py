"""The arguments are optax's, and a wrong one is refused by name where the optimizer is built."""

import inspect
import math
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_notes

# Names that optax does not have.
OURS = {
    "__version__",
    "adam_to_sgd",
    "allow_one_loop",
    "handover",
    "momentum",
    "one_loop_works",
    "pack_state",
    "packed",
    "translate",
    "translate_state",
    "unpack_state",
    "update_in_one_loop",
}
OURS_ALONE = {"adagrad": {"eps_in_sqrt": True}, "scale_by_rss": {"eps_in_sqrt": True}}


@pytest.mark.parametrize("name", sorted(set(jaxopt_notes.__all__) - OURS))
def test_the_signature_is_optaxs(name: str) -> None:
    def arguments(library: Any) -> list[tuple[str, Any, Any]]:
        parameters = inspect.signature(getattr(library, name)).parameters.values()
        return [(p.name, p.kind, p.default) for p in parameters]

    extra = [
        (key, inspect.Parameter.POSITIONAL_OR_KEYWORD, default)
        for key, default in OURS_ALONE.get(name, {}).items()
    ]
    assert arguments(jaxopt_notes) == arguments(optax) + extra


EQUAL_TO_OPTAX = sorted(set(jaxopt_notes.optimizers.__all__) - OURS | {"momentum"})


def taking(*arguments: str) -> list[tuple[str, str]]:
    """Each public function with each of these arguments that it takes."""
    return [
        (name, argument)
        for name in EQUAL_TO_OPTAX
        for argument in inspect.signature(getattr(jaxopt_notes, name)).parameters
        if argument in arguments
    ]


VELOCITIES = [("sgd", "momentum"), ("rmsprop", "momentum"), ("trace", "decay")]
DECAYS = [pair for pair in taking("b1", "b2", "beta", "decay") if pair not in VELOCITIES]
NOT_NEGATIVE = taking("eps", "eps_root", "initial_accumulator_value", "initial_scale")
FINITE = taking("learning_rate", "weight_decay")
DTYPES = taking("accumulator_dtype", "mu_dtype")


def build(name: str, argument: str, value: Any) -> optax.GradientTransformation:
    """The optimizer with this argument, and with the arguments that it requires."""
    optimizer = getattr(jaxopt_notes, name)
    needed = {"learning_rate": 0.1, "decay": 0.9}
    keywords = {
        key: needed[key]
        for key, parameter in inspect.signature(optimizer).parameters.items()
        if parameter.default is inspect.Parameter.empty
    }
    if (name, argument) == ("sgd", "accumulator_dtype"):
        keywords["momentum"] = 0.9
    return optimizer(**(keywords | {argument: value}))


def refused(error: type[Exception], name: str, argument: str, values: list[Any]) -> None:
    """Each value is refused by the argument's name, all in one test: a test takes longer."""
    for value in values:
        with pytest.raises(error, match=rf"\b{argument}="):
            build(name, argument, value)


def pairs(table: list[tuple[str, str]]) -> Any:
    return pytest.mark.parametrize(
        ("name", "argument"), table, ids=[f"{name}-{argument}" for name, argument in table]
    )


@pairs(DECAYS)
def test_a_decay_outside_its_interval_is_refused(name: str, argument: str) -> None:
    refused(ValueError, name, argument, [-0.1, 1.0, 1.5, math.nan, math.inf, np.float32(2.0)])


@pairs(VELOCITIES)
def test_a_velocitys_decay_may_be_one_but_no_more(name: str, argument: str) -> None:
    build(name, argument, 1.0)
    refused(ValueError, name, argument, [-0.1, 1.001, math.nan, math.inf, np.float64(-1.0)])


@pairs(NOT_NEGATIVE)
def test_a_negative_or_infinite_epsilon_or_start_is_refused(name: str, argument: str) -> None:
    build(name, argument, 0.0)
    refused(ValueError, name, argument, [-1e-8, math.nan, math.inf, -math.inf, np.array(-1.0)])


@pairs(FINITE)
def test_a_rate_that_is_not_finite_is_refused(name: str, argument: str) -> None:
    build(name, argument, -0.1)
    refused(ValueError, name, argument, [math.nan, math.inf, -math.inf, np.float32("nan")])


@pairs(DECAYS + VELOCITIES + NOT_NEGATIVE + FINITE)
def test_what_is_no_number_is_refused(name: str, argument: str) -> None:
    refused(TypeError, name, argument, ["0.1", True, [0.1], 0.1j, {}])


@pairs(DTYPES)
def test_what_is_no_dtype_is_refused(name: str, argument: str) -> None:
    refused(TypeError, name, argument, ["float33", 3.5, "mu"])


@pairs(DECAYS + NOT_NEGATIVE + FINITE)
def test_what_cannot_be_known_yet_is_let_through(name: str, argument: str) -> None:
    build(name, argument, jnp.float32(0.5))
    jax.make_jaxpr(lambda x: build(name, argument, x).init(jnp.ones(2)))(0.5)


@pytest.mark.parametrize("name", ["adamw", "lion", "add_decayed_weights"])
def test_a_decay_of_weights_asks_for_the_parameters(name: str) -> None:
    optimizer = getattr(jaxopt_notes, name)(0.1)
    state = optimizer.init(jnp.ones(2))
    with pytest.raises(ValueError, match="params"):
        optimizer.update(jnp.ones(2), state)


def test_the_package_is_imported_without_jax() -> None:
    script = (
        "import sys, jaxopt_notes as notes\n"
        "assert not {'jax', 'optax', 'numpy', 'flax'} & set(sys.modules), 'imported too much'\n"
        "assert not hasattr(notes, '__wrapped__')\n"
        "assert 'jax' not in sys.modules\n"
        "assert set(notes.__all__) < set(dir(notes))\n"
        "assert all(getattr(notes, name) for name in notes.__all__)\n"
        "assert 'jax' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_every_public_name_is_listed_and_there() -> None:
    from jaxopt_notes import optimizers

    assert set(optimizers.__all__) <= set(jaxopt_notes.__all__)
    assert set(dir(jaxopt_notes)) >= set(jaxopt_notes.__all__)
    for name in optimizers.__all__:
        assert getattr(jaxopt_notes, name) is getattr(optimizers, name)
    with pytest.raises(AttributeError, match="lamb"):
        jaxopt_notes.lamb  # noqa: B018
