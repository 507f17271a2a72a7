"""A checkpoint written under optax loads into ours, and back."""

from pathlib import Path
from typing import Any

import flax.serialization
import jax
import numpy as np
import optax
import orbax.checkpoint
import pytest

from jaxopt_notes.verification.settings import settings
from tests.slow_cases import slow_but

PAIRS = [s for s in settings() if "optax" in s.oracles]
NUMBERS = {"kernel": np.linspace(-1.0, 1.0, 6).reshape(2, 3), "bias": np.zeros((2, 3))}
PARAMS, GRADS = (
    {name: jax.device_put(f(x).astype(np.float32)) for name, x in NUMBERS.items()}
    for f in (np.array, lambda x: np.cos(x + 0.3))
)


def take(optimizer: optax.GradientTransformation, params: Any, state: Any, steps: int) -> Any:
    for _ in range(steps):
        updates, state = optimizer.update(GRADS, state, params)
        params = optax.apply_updates(params, updates)
    return params, state


def through_flax(saved: Any, target: Any, folder: Path) -> Any:
    del folder
    return flax.serialization.from_bytes(target, flax.serialization.to_bytes(saved))


def through_orbax(saved: Any, target: Any, folder: Path) -> Any:
    with orbax.checkpoint.StandardCheckpointer() as checkpointer:
        checkpointer.save(folder / "checkpoint", saved)
        checkpointer.wait_until_finished()
        return checkpointer.restore(folder / "checkpoint", target)


def crosses(setting: Any, carry: Any, folder: Path, to_ours: bool) -> None:
    """Five steps by one, a checkpoint and five by the other equal ten steps by one."""
    ours, optax_optimizer = setting.build(20), setting.build_optax(20)
    first, second = (optax_optimizer, ours) if to_ours else (ours, optax_optimizer)
    params, state = take(first, PARAMS, first.init(PARAMS), 5)
    restored = carry(state, second.init(PARAMS), folder)
    there = take(first, params, state, 5)
    here = take(second, params, restored, 5)
    assert jax.tree.structure(here) == jax.tree.structure(there)
    jax.tree.map(np.testing.assert_array_equal, here, there)


@pytest.mark.parametrize("to_ours", [True, False], ids=["to ours", "to optax"])
@pytest.mark.parametrize("setting", slow_but(PAIRS[::3], PAIRS, lambda s: s.label))
def test_flax_bytes(setting: Any, to_ours: bool, tmp_path: Path) -> None:
    crosses(setting, through_flax, tmp_path, to_ours)


@pytest.mark.parametrize("to_ours", [True, False], ids=["to ours", "to optax"])
@pytest.mark.parametrize("name", ["optax.sgd", "optax.rmsprop", "optax.adamw"])
def test_orbax_checkpoint(name: str, to_ours: bool, tmp_path: Path) -> None:
    setting = [s for s in PAIRS if s.name == name][-1]
    crosses(setting, through_orbax, tmp_path, to_ours)
