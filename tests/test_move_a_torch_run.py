"""docs/move-a-torch-run.md: each block runs, and each run goes on here as it goes on in torch."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")

PAGE = Path(__file__).parents[1] / "docs" / "move-a-torch-run.md"
SECTIONS = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
REST = slice(40, 65)


def blocks(section: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)


@pytest.fixture(name="run")
def _run() -> Iterator[dict[str, Any]]:
    """The page's names, in float64."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)  # torch's threads and XLA's disturb each other in one process
    try:
        with jax.enable_x64(True):
            names: dict[str, Any] = {}
            for block in blocks(SECTIONS[0]):
                exec(block, names)
            yield names
    finally:
        torch.set_default_dtype(before)


def same(params: Any, net: Any) -> None:
    for name, p in net.named_parameters():
        np.testing.assert_allclose(params[name], p.detach().numpy(), rtol=1e-11, atol=1e-13)


def goes_on(run: dict[str, Any], train: str) -> None:
    """The rest of the run in torch and here."""
    start = {name: np.array(p) for name, p in run["params"].items()}
    for x, y in run["batches"][REST]:
        arguments = run["params"], run["state"], x.numpy(), y.numpy()
        run["params"], run["state"] = run["step"](*arguments)
    scheduler = [run["scheduler"]] if "scheduler" in run else []
    run[train](run["opt"], *scheduler, run["batches"][REST])
    same(run["params"], run["net"])
    assert any((np.asarray(run["params"][name]) != start[name]).any() for name in start)


def averages(run: dict[str, Any]) -> None:
    for x, y in run["batches"][REST]:
        arguments = run["params"], run["state"], run["average_state"], x.numpy(), y.numpy()
        run["params"], run["state"], run["average_state"], means = run["step_and_average"](
            *arguments
        )
    run["train_averaged"](run["opt"], run["batches"][REST])
    same(run["params"], run["net"])
    same(means, run["averaged"].module)


def scales(run: dict[str, Any]) -> None:
    params, careful = run["params"], run["careful_state"]
    goes_on(run, "train_scaled")
    batches = [(x.numpy(), y.numpy()) for x, y in run["batches"][REST]]
    batches.insert(3, tuple(x.numpy() for x in run["overflow"]))
    for x, y in batches:
        params, careful = run["scaled_step"](params, careful, x, y)
    assert careful.total_notfinite == 1
    same(params, run["net"])


def module_goes_on(run: dict[str, Any]) -> None:
    for x, y in run["batches"][REST]:
        run["nnx_step"](run["model"], run["nnx_optimizer"], x.numpy(), y.numpy())
    run["train"](run["opt"], run["scheduler"], run["batches"][REST])
    for layer, name in run["mapping"].items():
        here, there = getattr(run["model"], layer), run["net"].get_submodule(name)
        kernel = np.asarray(here.kernel[...])
        np.testing.assert_allclose(kernel.T, there.weight.detach(), rtol=1e-11)


def proves(run: dict[str, Any]) -> None:
    assert run["proof"].equal
    assert not run["forgotten"].equal
    assert "the count" in str(run["forgotten"])


def goes_back(run: dict[str, Any]) -> None:
    assert type(run["scheduler"]).__name__ == "OneCycleLR"
    assert run["scheduler"].last_epoch == 75
    same(run["params"], run["net"])


def comes_back_from_flax(run: dict[str, Any]) -> None:
    assert run["scheduler"].last_epoch == 75
    last = run["batches"][75:80]
    for x, y in last:
        run["nnx_step"](run["model"], run["nnx_optimizer"], x.numpy(), y.numpy())
    run["train"](run["opt"], run["scheduler"], last)
    here = run["to_torch_weights"](run["model"], run["net"], run["mapping"])
    same(here, run["net"])


CHECKS = {
    "OneCycleLR": lambda run: goes_on(run, "train"),
    "LambdaLR": lambda run: goes_on(run, "train"),
    "CosineAnnealingLR, once an epoch": lambda run: goes_on(run, "train_epochs"),
    "Param groups": lambda run: goes_on(run, "train"),
    "Gradient clipping": lambda run: goes_on(run, "train_clipped"),
    "Frozen layers": lambda run: goes_on(run, "train_clipped"),
    "Averaged weights (EMA)": averages,
    "Mixed precision": scales,
    "A Flax module of your own": module_goes_on,
    "Proof on your own checkpoint": proves,
    "Back to torch": goes_back,
    "Back from Flax": comes_back_from_flax,
}


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")  # after a skipped step
def test_each_run_goes_on_as_in_torch(run: dict[str, Any]) -> None:
    """In one test, as a reader goes through the page: later blocks use names of earlier ones."""
    for section in SECTIONS[1:]:
        for block in blocks(section):
            exec(block, run)
        CHECKS[section.splitlines()[0]](run)


def test_one_cycle_takes_at_most_12_lines() -> None:
    (section,) = (s for s in SECTIONS if s.startswith("OneCycleLR"))
    lines = [line for line in blocks(section)[1].splitlines() if line.strip()]
    assert "import jax" in lines[0]
    assert "@jax.jit" in lines
    assert len(lines) <= 12


def test_every_section_has_its_check() -> None:
    assert [section.splitlines()[0] for section in SECTIONS[1:]] == list(CHECKS)
