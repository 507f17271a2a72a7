"""50 steps in Keras, 50 here and 50 in Keras again end where 150 in Keras do."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_notes.conventions import translate, translate_state
from jaxopt_notes.extras import installed
from jaxopt_notes.transfer import to_keras_optimizer
from jaxopt_notes.verification import oracle_keras, problem
from jaxopt_notes.verification.settings import Setting, settings
from tests import keras_runs
from tests.slow_cases import slow_but

pytestmark = [
    pytest.mark.skipif(not installed("keras"), reason="Keras is not installed"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # Keras' own
]

LEG = 50
WHOLE = 3 * LEG
TABLE = [s for s in settings() if s.framework == "keras"]
# Allowed errors: in float32 units in the last place of a step, in float64 a share of the path.
A_STEP, OF_THE_WAY = 8, 1e-12


def there_and_back(setting: Setting, dtype: str) -> tuple[problem.Path, problem.Path]:
    """The path of the three legs, and Keras' own."""
    gs = problem.gradients(WHOLE, dtype)
    rates = setting.rate(WHOLE)
    lr: Any = problem.schedule(WHOLE) if setting.scheduled else None
    with keras_runs.in_dtype(dtype):
        variables = keras_runs.variables(dtype)
        opt = oracle_keras.optimizer(setting.optimizer, setting.keywords, rates)
        opt.build(variables)
        start = keras_runs.steps(opt, variables, gs, range(LEG))
        params = keras_runs.values(variables)
        state = translate_state(opt, params, lr=lr)
        legs = range(LEG, 2 * LEG), range(2 * LEG, WHOLE)
        alone = [start, *(keras_runs.steps(opt, variables, gs, leg) for leg in legs)]

        optimizer = translate(opt, lr=lr)
        middle, params, state = here(optimizer, params, state, gs)
        back = to_keras_optimizer(
            optimizer, state, params, variables, load_weights=True, steps=2 * LEG
        )
        last = keras_runs.steps(back, variables, gs, range(2 * LEG, WHOLE))
        assert int(back.iterations) == WHOLE
    return (
        {n: np.concatenate([start[n], middle[n], last[n]]) for n in start},
        {n: np.concatenate([leg[n] for leg in alone]) for n in start},
    )


def here(
    optimizer: Any, params: Any, state: Any, gs: problem.Path
) -> tuple[problem.Path, Any, Any]:
    """The leg in JAX."""

    def step(carry: Any, grads: Any) -> Any:
        params, state = carry
        updates, state = optimizer.update(grads, state, params)
        params = jax.tree.map(jnp.add, params, updates)
        return (params, state), params

    xs = {name: g[LEG : 2 * LEG] for name, g in gs.items()}
    run = jax.jit(lambda carry, xs: jax.lax.scan(step, carry, xs))
    (params, state), seen = run((params, state), xs)
    return {name: np.asarray(x) for name, x in seen.items()}, params, state


def far(ours: problem.Path, keras_path: problem.Path, dtype: str) -> float:
    """The largest distance, as a share of the allowed one."""
    if dtype == "float64":
        return problem.apart(ours, keras_path, dtype) / OF_THE_WAY
    units = [
        problem.ulps(*({n: x[: k + 1] for n, x in of.items()} for of in (ours, keras_path)), dtype)
        for k in range(WHOLE)
    ]
    return max(unit / (A_STEP * (k + 1)) for k, unit in enumerate(units))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("setting", TABLE, ids=lambda s: s.label)
def test_there_and_back(setting: Setting, dtype: str) -> None:
    assert far(*there_and_back(setting, dtype), dtype) <= 1


@pytest.mark.parametrize("name", slow_but(["adam"], ["sgd", "rmsprop", "adam"]))
def test_a_sample_goes_there_and_back(name: str) -> None:
    setting = [s for s in TABLE if s.optimizer == name and s.keywords][-1]
    assert far(*there_and_back(setting, "float32"), "float32") <= 1
