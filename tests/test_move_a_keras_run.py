"""docs/move-a-keras-run.md: each block runs, and the run ends where it ends in Keras alone."""

import re
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from jaxopt_notes.extras import installed
from jaxopt_notes.verification import oracle_keras

if not installed("keras"):
    pytest.skip("needs the extra keras", allow_module_level=True)
keras = oracle_keras.load()

PAGE = Path(__file__).parents[1] / "docs" / "move-a-keras-run.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
HERE_AND_BACK = 4  # blocks: the run in Keras, its translation, the epoch in JAX, the way back


def weights(net: Any) -> list[np.ndarray]:
    return [v.numpy() for v in net.trainable_variables]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_every_block_of_the_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    alone: dict[str, Any] = {}
    keras.utils.set_random_seed(0)
    exec(BLOCKS[0], alone)
    for _ in range(2):
        alone["net"].fit(alone["x"], alone["y"], batch_size=32, shuffle=False, verbose=0)

    run: dict[str, Any] = {}
    keras.utils.set_random_seed(0)
    for block in BLOCKS[:HERE_AND_BACK]:
        exec(block, run)
    for array, expected in zip(weights(run["net"]), weights(alone["net"])):
        np.testing.assert_allclose(array, expected, rtol=2e-5, atol=2e-6)
    assert int(run["opt"].iterations) == 30
    for one, other in zip(run["opt"].variables, alone["opt"].variables):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-4, atol=1e-6)

    exec(BLOCKS[HERE_AND_BACK], run)
    assert run["opt"].get_config()["learning_rate"]["class_name"] == "ExponentialDecay"
    for block in BLOCKS[HERE_AND_BACK + 1 :]:
        exec(block, run)
    counts = {int(x) for x in jax.tree.leaves(run["state"]) if x.shape == ()}
    assert counts == {30}  # those of the file, which holds the optimizer of the third epoch
