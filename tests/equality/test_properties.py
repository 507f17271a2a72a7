"""Any tree, any dtypes, any keywords: the bits are optax's."""

import inspect
from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import jaxopt_notes
from tests.equality.cases import DECAY_SCHEDULE, RATE_SCHEDULES, Case, not_scalars
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

TRACE = {"decay": st.one_of(decays, st.just(1.0)), "nesterov": flags}
AVERAGE = {"accumulator_dtype": accumulator_dtypes}
RSS = {"initial_accumulator_value": numbers(0.0, 2.0), "eps": epsilons}
RMS = {
    "decay": decays,
    "eps": epsilons,
    "initial_scale": numbers(0.0, 2.0),
    "eps_in_sqrt": flags,
    "bias_correction": flags,
}
ADAM = {
    "b1": decays,
    "b2": decays,
    "eps": epsilons,
    "eps_root": epsilons,
    "mu_dtype": accumulator_dtypes,
    "nesterov": flags,
}
DECAY = {"weight_decay": weights, "mask": masks}
RATE = {"learning_rate": rates}
VELOCITY = {"momentum": st.one_of(st.none(), decays), "nesterov": flags}

KEYWORDS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "sgd": RATE | VELOCITY | AVERAGE,
    "momentum": RATE | AVERAGE | {"beta": decays},
    "adagrad": RATE | RSS,
    "rmsprop": RATE | RMS | VELOCITY | {"centered": flags},
    "adam": RATE | ADAM,
    "adamw": RATE | ADAM | DECAY,
    "trace": TRACE | AVERAGE,
    "ema": AVERAGE | {"decay": decays, "debias": flags},
    "scale_by_rss": RSS,
    "scale_by_rms": RMS,
    "scale_by_stddev": RMS,
    "scale_by_adam": ADAM,
    "scale_by_learning_rate": {
        "learning_rate": st.one_of(st.none(), rates),
        "flip_sign": flags,
    },
    "add_decayed_weights": DECAY,
}


@st.composite
def cases(draw: st.DrawFn) -> Case:
    name = draw(st.sampled_from(list(KEYWORDS)))
    required, optional = {}, {}
    for key, parameter in inspect.signature(getattr(jaxopt_notes, name)).parameters.items():
        if key in KEYWORDS[name]:
            needed = parameter.default is inspect.Parameter.empty
            (required if needed else optional)[key] = KEYWORDS[name][key]
    return Case(name, draw(st.fixed_dictionaries(required, optional=optional)), name)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data(), cases(), st.integers(0, 2**16))
def test_any_tree_and_any_keywords_give_the_same_bits(
    data: st.DataObject, case: Case, seed: int
) -> None:
    params = data.draw(trees(REAL if case.real_only else DTYPES))
    assert_same_path(case.ours(params), case.optaxs(params), params, gradients_for(params, 5, seed))


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


def test_every_keyword_of_optax_is_drawn() -> None:
    for name, keywords in KEYWORDS.items():
        if name != "momentum":
            assert keywords.keys() == inspect.signature(getattr(optax, name)).parameters.keys()
