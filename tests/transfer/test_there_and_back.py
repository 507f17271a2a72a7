"""50 steps in torch, 50 here and 50 in torch again end where 150 in torch do."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_notes import conventions
from jaxopt_notes.conventions import translate_state
from jaxopt_notes.transfer import to_torch_optimizer
from jaxopt_notes.verification import oracle_torch, problem
from jaxopt_notes.verification.settings import RATE, Setting, settings

torch = pytest.importorskip("torch", reason="torch is not installed")

LEG = 50
WHOLE = 3 * LEG
TABLE = [s for s in settings() if s.framework == "torch"]
# Units in the last place that a step in float32 may be off; in float64 a share of the way.
A_STEP, OF_THE_WAY = 8, 1e-12


def step_in_torch(opt: Any, params: Any, ks: range, rates: Any, scheduler: Any = None) -> Any:
    """θ after each step. Without a scheduler the learning rates are set."""
    gs = problem.gradients(WHOLE, str(next(iter(params.values())).dtype).removeprefix("torch."))
    seen = []
    for k in ks:
        for group in opt.param_groups if scheduler is None else ():
            group["lr"] = float(rates[k])
        for name, p in params.items():
            p.grad = torch.tensor(gs[name][k])
        opt.step()
        if scheduler is not None:
            scheduler.step()
        seen.append({name: p.detach().numpy().copy() for name, p in params.items()})
    return {name: np.stack([at[name] for at in seen]) for name in params}


def there_and_back(setting: Setting, dtype: str) -> tuple[Any, Any]:
    """The path of the three legs, and torch's own."""
    rates = np.broadcast_to(setting.rate(WHOLE), WHOLE)
    first, alone = (oracle_torch.parameters(dtype) for _ in range(2))
    makers = [
        oracle_torch.optimizer(setting.optimizer, p.values(), setting.keywords, rates)
        for p in (first, alone)
    ]
    start = step_in_torch(makers[0], first, range(LEG), rates)
    lr: Any = problem.schedule(WHOLE) if setting.scheduled else None
    with jax.enable_x64(dtype == "float64"):
        params = {name: jnp.array(p.detach().numpy()) for name, p in first.items()}
        state = translate_state(makers[0], params, lr=lr, names=first, steps=LEG)
        factory = partial(
            getattr(conventions.torch, setting.optimizer), lr=lr or RATE, **setting.keywords
        )
        take, middle = jax.jit(factory().update), []
        for k in range(LEG, 2 * LEG):
            gs = {name: jnp.asarray(g[k]) for name, g in problem.gradients(WHOLE, dtype).items()}
            updates, state = take(gs, state, params)
            params = jax.tree.map(jnp.add, params, updates)
            middle.append({name: np.asarray(p) for name, p in params.items()})
        again = oracle_torch.parameters(dtype)
        opt, scheduler = to_torch_optimizer(factory, state, params, again, load_weights=True)
    last = step_in_torch(opt, again, range(2 * LEG, WHOLE), rates, scheduler or NoScheduler())
    legs = [start, {name: np.stack([at[name] for at in middle]) for name in last}, last]
    ours = {name: np.concatenate([leg[name] for leg in legs]) for name in last}
    return ours, step_in_torch(makers[1], alone, range(WHOLE), rates)


class NoScheduler:
    """In place of the scheduler of a constant learning rate."""

    def step(self) -> None:
        pass


def far(ours: problem.Path, theirs: problem.Path, dtype: str) -> float:
    """The largest distance, as a share of the one that is allowed."""
    if dtype == "float64":
        return problem.apart(ours, theirs, dtype) / OF_THE_WAY
    paths = [
        [{name: path[:k] for name, path in of.items()} for of in (ours, theirs)]
        for k in range(LEG + 1, WHOLE + 1)
    ]
    # Each step since torch was left may be off.
    return max(problem.ulps(*upto, dtype) / (A_STEP * k) for k, upto in enumerate(paths, start=1))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("setting", TABLE, ids=lambda s: s.label)
def test_every_setting(setting: Setting, dtype: str) -> None:
    ours, theirs = there_and_back(setting, dtype)
    print("FAR", setting.label, dtype, far(ours,theirs,dtype))
    assert far(ours, theirs, dtype) <= 1
