"""Any tree, any dtypes, any keywords: the bits are optax's."""

import inspect
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import jaxopt_notes
from tests.equality.cases import CASES, DECAY_SCHEDULE, RATE_SCHEDULES, Case, not_scalars
from tests.equality.comparison import assert_same_path
from tests.equality.gradients import gradients_for, parameters

SHAPES: list[tuple[int, ...]] = [(), (16,), (2, 3), (0, 3)]
REAL = ["float32", "bfloat16", "float16"]
DTYPES = [*REAL, "complex64"]


def leaves(dtypes: list[str]) -> st.SearchStrategy[Any]:
    made = st.builds(
        lambda shape, dtype: parameters(*shape, dtype=jnp.dtype(dtype)),
        st.sampled_from(SHAPES),
        st.sampled_from(dtypes),
    )
    return st.one_of(made, st.none())


def trees(dtypes: list[str]) -> st.SearchStrategy[Any]:
    def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.one_of(
            st.lists(inner, max_size=3),
            st.tuples(inner, inner),
            st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
        )

    return nested(st.recursive(leaves(dtypes), nested, max_leaves=5))


def numbers(low: float, high: float) -> st.SearchStrategy[Any]:
    """Python floats, and now and then a number with a dtype of its own."""
    plain = st.floats(low, high, width=32)
    return st.one_of(plain, plain, plain, plain.map(jnp.float32))


decays = numbers(0.0, 0.9990234375)
epsilons = st.one_of(st.just(0.0), st.sampled_from([1e-12, 1e-8, 1e-3]), numbers(0.0, 10.0))
flags = st.booleans()
accumulator_dtypes = st.sampled_from([None, *REAL])
rates = st.one_of(numbers(-2.0, 2.0), st.sampled_from(list(RATE_SCHEDULES.values())))
weights = st.one_of(st.just(0.0), st.floats(-1.0, 1.0), st.just(DECAY_SCHEDULE))
masks = st.sampled_from([None, True, False, not_scalars])

velocities = st.one_of(st.none(), decays)
starts = numbers(0.0, 2.0)
STRATEGIES: dict[str, st.SearchStrategy[Any]] = {
    "learning_rate": rates,
    "momentum": velocities,
    **dict.fromkeys(("b1", "b2", "beta", "decay"), decays),
    **dict.fromkeys(("eps", "eps_root"), epsilons),
    **dict.fromkeys(("initial_accumulator_value", "initial_scale"), starts),
    **dict.fromkeys(("accumulator_dtype", "mu_dtype"), accumulator_dtypes),
    "mode": st.sampled_from(["hard", "smooth", "refined"]),
    "smooth_beta": st.floats(0.5, 4.0, width=32),
    "weight_decay": weights,
    "mask": masks,
    **dict.fromkeys(
        (
            "bias_correction",
            "bias_correction_mu",
            "bias_correction_nu",
            "centered",
            "debias",
            "eps_in_sqrt",
            "flip_sign",
            "nesterov",
        ),
        flags,
    ),
}
# Arguments that take other values in these functions.
OWN: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "trace": {"decay": st.one_of(decays, st.just(1.0))},
    "scale_by_learning_rate": {"learning_rate": st.one_of(st.none(), rates)},
}
# The keywords that optax does not have.
OURS_ALONE = {"adagrad": {"eps_in_sqrt"}, "scale_by_rss": {"eps_in_sqrt"}}
FUNCTIONS = sorted({case.optimizer for case in CASES})


@st.composite
def cases(draw: st.DrawFn) -> Case:
    name = draw(st.sampled_from(FUNCTIONS))
    required, optional = {}, {}
    for key, parameter in inspect.signature(getattr(jaxopt_notes, name)).parameters.items():
        if key not in OURS_ALONE.get(name, ()):
            needed = parameter.default is inspect.Parameter.empty
            strategy = (STRATEGIES | OWN.get(name, {}))[key]
            (required if needed else optional)[key] = strategy
    return Case(name, draw(st.fixed_dictionaries(required, optional=optional)), name)


def any_tree_and_any_keywords(data: st.DataObject, case: Case, seed: int) -> None:
    params = data.draw(trees(REAL if case.real_only else DTYPES))
    assert_same_path(case.ours(params), case.optaxs(params), params, gradients_for(params, 5, seed))


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data(), cases(), st.integers(0, 2**16))
def test_any_tree_and_any_keywords_give_the_same_bits(
    data: st.DataObject, case: Case, seed: int
) -> None:
    any_tree_and_any_keywords(data, case, seed)


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data(), cases(), st.integers(0, 2**16))
def test_more_trees_and_keywords_give_the_same_bits(
    data: st.DataObject, case: Case, seed: int
) -> None:
    any_tree_and_any_keywords(data, case, seed)


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data(), cases(), st.integers(0, 2**16))
def test_the_same_holds_in_double_precision(data: st.DataObject, case: Case, seed: int) -> None:
    dtypes = ["float64", "float32"] if case.real_only else ["float64", "float32", "complex128"]
    with jax.enable_x64(True):
        params = data.draw(trees(dtypes))
        assert_same_path(
            case.ours(params), case.optaxs(params), params, gradients_for(params, 5, seed)
        )
