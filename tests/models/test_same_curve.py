"""The page "The same curve in torch and JAX", its script and its picture's numbers."""

import json
import re
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxopt_notes import conventions

torch = pytest.importorskip("torch", reason="torch is not installed")

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "same-curve.md").read_text(encoding="utf-8")
NUMBERS = json.loads((ROOT / "docs" / "pictures" / "same-curve.json").read_text(encoding="utf-8"))
EVALUATED_ONLY = ("batch norm momentum 0.99, not 0.9", "running variance biased")
STEPS = 10


@pytest.fixture(scope="module")
def script():
    pytest.importorskip("matplotlib", reason="needs the extra plots")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "scripts")
        import same_curve

        yield same_curve


@pytest.fixture(scope="module")
def few(script, digits):
    """An epoch of two steps of 64 and one of 22, so that ten steps meet the incomplete batch."""
    return digits._replace(
        train_images=digits.train_images[:150], train_labels=digits.train_labels[:150]
    )


@pytest.fixture(scope="module")
def same(script, few):
    """(torch's curves, JAX's, JAX's run, images), in float64."""
    with jax.enable_x64(True):
        yield script.compare(few, True, STEPS)


@pytest.mark.slow
def test_the_curves_are_one_in_float64(same):
    torch_curves, jax_curves, *_ = same
    assert len(torch_curves.train) == STEPS
    assert len(torch_curves.test) == 2
    assert torch_curves.train[-1] < 0.8 * torch_curves.train[0]
    np.testing.assert_allclose(jax_curves.train, torch_curves.train, rtol=0, atol=1e-12)
    np.testing.assert_allclose(jax_curves.test, torch_curves.test, rtol=0, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", NUMBERS["left out"])
def test_each_item_left_out_moves_a_curve(script, same, name):
    torch_curves, _, run, images = same
    with jax.enable_x64(True):
        changed = script.omissions(run, len(images.train))[name]
        apart = script.distance(script.jax_run(changed, images), torch_curves)
    assert apart["test"]["largest"] > 1e-5
    if name in EVALUATED_ONLY:
        assert apart["train"]["largest"] < 1e-12
    else:
        assert apart["train"]["largest"] > 1e-5


@pytest.mark.slow
def test_in_parts_the_optimizer_is_torchs(script):
    """The omissions change the optimizer's parts: unchanged, the parts equal torch's RMSprop."""
    g = {"w": jax.numpy.array([1e-4, -2.0, 0.3])}
    whole = conventions.torch.rmsprop(
        lambda t: script.LEARNING_RATE * script.schedule(STEPS, jax.numpy)(t),
        *(script.ALPHA, script.EPS, script.DECAY, script.MOMENTUM),
    )
    params, states = g, []
    for optimizer in (whole, script.rmsprop(STEPS)):
        state, updates = optimizer.init(params), []
        for _ in range(3):
            update, state = optimizer.update(g, state, params)
            updates.append(update["w"])
        states.append(updates)
    np.testing.assert_allclose(*states, rtol=1e-6)


def test_the_pictures_numbers_hold_what_the_page_says():
    assert len(NUMBERS["torch"]["train"]) == len(NUMBERS["jax"]["train"]) == 200
    whole = NUMBERS["same, float64"]
    assert max(whole[part]["largest"] for part in ("train", "test")) < 1e-12
    rows = {
        "every item as in torch, float64": whole,
        "every item as in torch, float32": NUMBERS["same, float32"],
        **NUMBERS["left out"],
    }
    shown = re.findall(r"^\| (.+?) \| (\S+) \| (\S+) \| [^|]*\|$", PAGE, re.MULTILINE)
    assert {name: (train, test) for name, train, test in shown if name in rows} == {
        name: tuple(f"{run[part]['largest']:.2g}" for part in ("train", "test"))
        for name, run in rows.items()
    }
    for name, run in NUMBERS["left out"].items():
        assert (run["train"]["first_step_above_1e-5"] is None) == (name in EVALUATED_ONLY)
        assert run["test"]["largest"] > 1e-5


@pytest.mark.slow
def test_the_page_runs_as_one_program():
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 7
    names: dict = {}
    exec(compile("\n".join(blocks), "same-curve.md", "exec"), names)
    assert len(names["losses"]) == 20


@pytest.mark.slow
def test_the_picture_is_drawn(script, tmp_path):
    script.same_curve_picture.draw(tmp_path / "picture.png", NUMBERS)
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
