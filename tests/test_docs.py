"""The documents name what is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
FAULTS = re.findall(
    r"`([\w/]+\.py)::(\w+)`", (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
)
# Each page with blocks of Python, and the test that runs them. tests/test_shell_blocks.py runs the
# `sh` blocks, and tests/test_chinese.py compares the Chinese editions.
README, GUIDES = "test_readme.py", "test_guides.py"
RUN_BY = {
    **dict.fromkeys(("README", "docs/index", "docs/start", "docs/there-and-back"), README),
    **dict.fromkeys(("docs/microscope", "docs/speed", "docs/optimizers"), README),
    **dict.fromkeys(("docs/by-hand", "docs/identified", "docs/guides/own-images"), GUIDES),
    **dict.fromkeys(("docs/guides/add-a-study", "docs/guides/add-an-optimizer"), GUIDES),
    "docs/move-a-torch-run": "test_move_a_torch_run.py",
    "docs/move-a-keras-run": "test_move_a_keras_run.py",
    "docs/same-curve": "models/test_same_curve.py",
    "docs/vectors/README": "verification/test_vectors.py",
}


def test_at_least_25_faults_are_listed():
    assert len(FAULTS) >= 25


def test_each_fault_of_the_table_is_a_test():
    text = {file: (ROOT / "tests" / file).read_text(encoding="utf-8") for file, _ in FAULTS}
    assert [(file, name) for file, name in FAULTS if f"\ndef {name}(" not in text[file]] == []


def test_each_page_with_blocks_of_python_is_run_by_a_test():
    files = (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "benchmarks" / "README.md")
    pages = {
        path.relative_to(ROOT).as_posix().removesuffix(".md")
        for path in files
        if re.search(r"^```py", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert {page for page in pages if not page.endswith(".zh-CN")} == set(RUN_BY)
    for page, file in RUN_BY.items():
        assert Path(page).name in (ROOT / "tests" / file).read_text(encoding="utf-8"), page
