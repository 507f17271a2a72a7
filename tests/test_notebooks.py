"""The notebooks: whole, small, and with the outputs that a run gives."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted(ROOT.glob("docs/notebooks/*.ipynb"))
CHINESE = [path for path in NOTEBOOKS if path.stem.endswith(".zh-CN")]
ENGLISH = [path for path in NOTEBOOKS if path not in CHINESE]
NUMBER = re.compile(r"-?\d+(?:,\d{3})*(?:\.\d+)?(?:e-?\d+)?")
ROUNDING = re.compile(r"at most [\d.]+ units|difference is \S+")
notebooks = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> dict[str, Any]:
    notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return notebook


def codes(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def printed(notebook: dict[str, Any]) -> list[str]:
    """Each cell's text, without what depends on how a machine rounds."""
    texts = (
        "".join(t for o in cell["outputs"] for t in o.get("text", [])) for cell in codes(notebook)
    )
    return [ROUNDING.sub("…", text) for text in texts]


def test_there_are_three():
    assert len(ENGLISH) >= 3


@notebooks
def test_it_was_run_whole_and_in_order(path):
    notebook = read(path)
    assert (notebook["nbformat"], notebook["metadata"]["kernelspec"]["name"]) == (4, "python3")
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    cells = codes(notebook)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert {o["output_type"] for o in outputs} == {"stream", "display_data"}
    assert path.stat().st_size < 150_000
    for cell in cells:  # for readers who cannot see the picture
        drawn = any("image/png" in output.get("data", {}) for output in cell["outputs"])
        assert drawn == bool(cell["metadata"].get("alt")), cell["id"]


@notebooks
def test_each_link_leads_somewhere(path):
    for cell in read(path)["cells"]:
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", "".join(cell["source"])):
            assert (path.parent / target).exists(), target


@notebooks
def test_no_cell_ends_in_a_value_that_jupyter_would_show(path):
    """`scripts/run_notebooks.py` would leave it out, and the two would differ."""
    for cell in codes(read(path)):
        source = "".join(cell["source"])
        last = ast.parse(source).body[-1]
        prints = isinstance(last, ast.Expr) and ast.unparse(last).startswith("print(")
        assert not isinstance(last, ast.Expr) or prints or source.rstrip().endswith(";"), source


@pytest.mark.parametrize("path", CHINESE, ids=lambda path: path.stem)
def test_a_chinese_edition_has_the_same_code_and_outputs(path):
    chinese = read(path)
    english = read(path.with_name(path.name.replace(".zh-CN", "")))
    for here, there in zip(chinese["cells"], english["cells"], strict=True):
        assert here["cell_type"] == there["cell_type"], here["id"]
        if here["cell_type"] == "code":
            assert here["source"] == there["source"], here["id"]
            assert here["outputs"] == there["outputs"], here["id"]
        else:
            text = "".join(here["source"])
            assert re.search(r"[\u4e00-\u9fff]", text), here["id"]
            for target in re.findall(r"\]\(([^)]+\.(?:md|ipynb))\)", text):
                edition = re.sub(r"(\.\w+)$", r".zh-CN\1", target)
                assert edition == path.name or not (path.parent / edition).exists(), target


@pytest.mark.parametrize("path", ENGLISH, ids=lambda path: path.stem)
def test_each_notebook_has_a_chinese_edition_and_each_leads_to_the_other(path):
    chinese = path.with_suffix(".zh-CN.ipynb")
    titles = ["".join(read(one)["cells"][0]["source"]) for one in (path, chinese)]
    assert f"[中文]({chinese.name})" in titles[0]
    assert f"[English]({path.name})" in titles[1]


@pytest.mark.slow  # 6 to 12 CPU seconds each
@pytest.mark.parametrize("path", ENGLISH, ids=lambda path: path.stem)
def test_a_run_prints_what_is_committed(path):
    matplotlib = pytest.importorskip("matplotlib", reason="needs the extra plots")
    pytest.importorskip("sympy", reason="needs the extra microscope")
    notebook = read(path)
    if "import torch" in "".join(t for cell in codes(notebook) for t in cell["source"]):
        pytest.importorskip("torch", reason="needs the extra torch")
    before = matplotlib.get_backend(), jax.config.jax_enable_x64
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "scripts")
        import run_notebooks
    committed = printed(notebook)
    try:
        matplotlib.use("agg")
        run_notebooks.run(notebook, path.stem)
    finally:
        matplotlib.use(before[0])
        jax.config.update("jax_enable_x64", before[1])
    for now, then in zip(printed(notebook), committed, strict=True):
        assert NUMBER.sub("#", now) == NUMBER.sub("#", then)
        numbers = [
            [float(n.replace(",", "")) for n in NUMBER.findall(text)] for text in (now, then)
        ]
        # Chance is seeded; another machine rounds otherwise.
        np.testing.assert_allclose(*numbers, rtol=0.05, err_msg=now)
