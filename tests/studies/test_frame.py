"""The frame: what a study must say, the commands, the files, and work that is not repeated."""

import json
import math
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from jaxopt_notes.studies import files, registration, runner, study
from jaxopt_notes.studies.__main__ import main
from jaxopt_notes.studies.study import Measured, Verdict, spread, strip
from jaxopt_notes.studies.wording import KINDS, VERDICTS

NAMES = study.names()


@pytest.mark.parametrize("name", NAMES)
def test_a_study_says_all_of_itself_in_both_languages(name: str) -> None:
    about = study.about(name)
    for field, value in about._asdict().items():
        optional = ("quick", "equations", "remark", "findings", "reachable", "texts")
        if field.removesuffix("_zh") not in optional:
            assert value, field
        if field.endswith("_zh") and value:
            assert any("一" <= sign <= "鿿" for sign in "".join(value)), field
    assert not about.equations_zh or len(about.equations_zh) == len(about.equations)
    assert bool(about.remark) == bool(about.remark_zh)
    assert about.kind in KINDS
    assert set(about.findings) <= set(VERDICTS)
    assert all(len(texts) == 2 and all(texts) for texts in about.findings.values())
    assert set(about.reachable) <= set(about.findings)
    assert all(set(changes) <= set(about.setting) for changes in about.reachable.values())
    assert set(about.quick) <= set(about.setting)
    assert not any("{" in rule for rule in about.rules())
    assert all(len(texts) == 2 and all(texts) for texts in about.measured.values())
    for setting in (about.setting, about.setting_for(quick=True)):
        assert setting.get("seeds", 5) >= 5  # where there is chance


@pytest.mark.parametrize("name", NAMES)
def test_equations_of_chinese_pages_have_no_english_words(name: str) -> None:
    about = study.about(name)
    text = " ".join(about.equations_zh or about.equations)
    names = {"softmax", "relu", "logits", "sigmoid", "torch", "optax"}
    assert set(re.findall(r"\b[a-z]{4,}\b", text)) <= names


def test_the_sentence_on_the_undecided_stands_in_each_rule_that_asks_for_it() -> None:
    about = study.about("stall")
    for rule, asked, sentence in zip(
        about.rules(), (about.rule, about.rule_zh), study.UNDECIDED_IF
    ):
        assert "{undecided}" in asked
        assert rule.endswith(sentence)


def test_a_finding_says_behind_or_ahead_by_the_sign() -> None:
    about = study.about("batch-size")
    numbers = {"large_16_epochs": 4.5, "large_64_steps": -0.12}
    english, chinese = study.finding(about, "depends", numbers)
    assert english.endswith("4.5 points behind after 16 steps and 0.1 points ahead after 64")
    assert chinese.endswith("16 步后落后 4.5 个百分点，64 步后领先 0.1 个百分点")
    english, _ = study.finding(about, "depends", {**numbers, "large_64_steps": 0.04})
    assert english.endswith("level after 64")


def test_each_study_has_a_number_of_its_own() -> None:
    numbers = [study.about(name).number for name in NAMES]
    assert numbers == sorted(set(numbers))
    assert set(range(1, numbers[-1])) - set(numbers) <= {19}  # it became a part of 9


def test_what_is_read_off_the_file_is_what_the_module_has() -> None:
    for name in ("ravine", "flatten"):
        module = study.load(name)
        assert study.about(name) == module.ABOUT
        assert callable(module.measure)
        assert callable(module.verdict)
        assert callable(module.draw)


def test_list_needs_neither_jax_nor_matplotlib() -> None:
    code = (
        "import sys; from jaxopt_notes.studies.__main__ import build_parser, main; main(['list']); "
        "build_parser().format_help(); sys.exit(bool({'jax', 'matplotlib'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    for name in NAMES:
        assert f"  {name}\n" in ran.stdout
    assert "Plain SGD oscillates across a ravine" in ran.stdout


def pretended(values: list[int]) -> Any:
    """The study `flatten` with a measurement that only counts how often it is asked for."""

    def measure(setting: dict[str, Any]) -> Measured:
        values.append(1)
        numbers = dict.fromkeys(study.about("flatten").measured, 0)
        return Measured({**numbers, "moved": math.inf}, {"x": np.array([1.0, 1 / 3]), "y": [2.0]})

    def draw(figure: Any, measured: Measured) -> None:
        figure.subplots().plot(measured.series["x"])

    def verdict(numbers: dict[str, Any], threshold: dict[str, float]) -> Verdict:
        return Verdict("holds", "so it is", "如此")

    return SimpleNamespace(measure=measure, verdict=verdict, draw=draw)


def test_run_leaves_whole_files_and_measures_once(tmp_path: Path) -> None:
    asked: list[int] = []
    with patch.object(study, "load", lambda name: pretended(asked)):
        first = runner.run("flatten", tmp_path)
        where = tmp_path / "flatten"
        contents = {path.name: path.read_bytes() for path in where.iterdir()}
        drawn = {"picture.png", "picture.svg", "picture.zh.svg"}
        assert set(contents) == {"result.json", "series.csv", *drawn}
        assert runner.run("flatten", tmp_path) == first
        assert {path.name: path.read_bytes() for path in where.iterdir()} == contents
        assert len(asked) == 1
        (where / "result.json").unlink()  # as a run that was cut off leaves it
        runner.run("flatten", tmp_path)
        assert len(asked) == 2
    result = json.loads(contents["result.json"])
    for field in ("claim", "setting", "threshold", "numbers", "verdict", "versions", "command"):
        assert result[field], field
    assert result["numbers"]["moved"] == "inf"
    assert contents["picture.png"].startswith(b"\x89PNG")
    assert contents["series.csv"] == f"x,y\n1.0,2.0\n{1 / 3!r},\n".encode()
    stored = files.stored(where, first["key"])
    assert stored is not None
    assert stored.measured.numbers["moved"] == math.inf
    assert stored.measured.series["x"].tolist() == [1.0, 1 / 3]
    assert stored.measured.series["y"].tolist() == [2.0]


def test_what_was_just_measured_is_drawn_as_what_is_kept_is(tmp_path: Path) -> None:
    module, drawn = pretended([]), []
    module.draw = lambda figure, measured: drawn.append(measured.series)
    with patch.object(study, "load", lambda name: module):
        runner.run("flatten", tmp_path)
        runner.run("flatten", tmp_path)
    new_series, stored_series = drawn
    assert new_series.keys() == stored_series.keys()
    for name, column in new_series.items():  # one of them was measured as a list
        np.testing.assert_array_equal(column, stored_series[name])
        assert isinstance(column, np.ndarray)


def test_another_setting_is_measured_anew() -> None:
    setting = study.about("ravine").setting
    assert study.key("ravine", setting) == study.key("ravine", dict(setting))
    assert study.key("ravine", setting) != study.key("ravine", {**setting, "beta": 0.8})
    assert study.key("ravine", setting) != study.key("saddle", setting)


def test_the_key_changes_with_the_code_that_measures_and_not_with_the_words(tmp_path: Path) -> None:
    source = Path(study.load("ravine").__file__).read_text(encoding="utf-8")

    def key(text: str) -> str:
        path = tmp_path / "other.py"
        path.write_text(text, encoding="utf-8")
        with patch.object(study, "find_spec", lambda name: SimpleNamespace(origin=str(path))):
            return study.key("ravine", {})

    same = source.replace("Momentum in a ravine", "Another title").replace(
        'step", ylabel', 's", ylabel'
    )
    assert same != source
    assert key(same) == key(source)
    assert key(source.replace("0.01 * np.linalg", "0.02 * np.linalg")) != key(source)


def test_a_picture_that_fails_leaves_no_result(tmp_path: Path) -> None:
    module = pretended([])
    module.draw = lambda figure, measured: 1 / 0
    with patch.object(study, "load", lambda name: module), pytest.raises(ZeroDivisionError):
        runner.run("flatten", tmp_path)
    assert not (tmp_path / "flatten").exists()


def test_a_write_that_is_cut_off_leaves_no_result_of_before(tmp_path: Path) -> None:
    pictures = {"png": b"1", "svg": b"2"}
    files.write(tmp_path, {"key": "old"}, {"x": [1]}, pictures)
    with pytest.raises(TypeError):
        files.write(tmp_path, {"key": "new"}, {"x": [2]}, {"png": "no bytes", "svg": b"2"})
    assert (tmp_path / "series.csv").read_text(encoding="utf-8") == "x\n2\n"
    assert files.stored(tmp_path, "old") is None


def test_numbers_without_a_name_are_refused(tmp_path: Path) -> None:
    module = pretended([])
    module.measure = lambda setting: Measured({"other": 1}, {})
    with (
        patch.object(study, "load", lambda name: module),
        pytest.raises(ValueError, match="not those that"),
    ):
        runner.run("flatten", tmp_path)


def test_run_and_report_as_commands(tmp_path: Path, capsys: Any) -> None:
    with (
        patch.object(study, "load", lambda name: pretended([])),
        patch.object(study, "names", lambda: ("flatten",)),
    ):
        assert main(["run", "flatten", "--quick", "--out", str(tmp_path / "a")]) == 0
        assert "flatten: holds. so it is" in capsys.readouterr().out
        assert main(["report", "--out", str(tmp_path / "b")]) == 0
        output = capsys.readouterr().out
        with patch.object(runner, "run", None):
            assert main(["pages", "--out", str(tmp_path / "b")]) == 0
        wrote = [line for line in output.splitlines(True) if line.startswith("wrote ")]
        assert capsys.readouterr().out == "".join(wrote)
    for name in ("index.html", "README.md", "README.zh-CN.md"):
        assert (tmp_path / "b" / name).exists()
        assert f"wrote {tmp_path / 'b' / name}" in output
    result = json.loads((tmp_path / "a" / "flatten" / "result.json").read_text(encoding="utf-8"))
    assert result["quick"] is True
    assert result["command"].endswith("run flatten --quick")


def test_a_quick_run_compiles_with_less_effort_until_it_ends(tmp_path: Path) -> None:
    from jax._src.compiler import get_compile_options

    def hurried() -> bool:
        options = get_compile_options(1, 1).executable_build_options.debug_options
        return bool(options.xla_llvm_disable_expensive_passes)

    module, seen = pretended([]), []
    measure = module.measure
    module.measure = lambda setting: (seen.append(hurried()), measure(setting))[1]
    with patch.object(study, "load", lambda name: module):
        for options in (["--quick"], []):
            out = str(tmp_path / "".join(options))
            assert main(["run", "flatten", *options, "--out", out]) == 0
            seen.append(hurried())
    assert seen == [True, False, False, False]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "the following arguments are required"),
        (["show"], "action 'show': choose from list, run, report, pages, register"),
        (["run"], "run: pass the NAME of a study"),
        (["run", "ravin"], "study 'ravin': unknown; pass one of ravine, saddle"),
        (["list", "ravine"], "list takes no name, such as 'ravine'"),
        (["report", "--out", __file__], "cannot be a folder"),
        (["pages", "ravine"], "pages takes no name, such as 'ravine'"),
        (["list", "--wrong"], "--wrong: is not an option; --help lists all options"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(options: list[str], says: str, capsys: Any) -> None:
    assert main(options) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert says in message
    assert message.count("\n") == 1


def test_pages_need_results(tmp_path: Path, capsys: Any) -> None:
    assert main(["pages", "--out", str(tmp_path)]) == 2
    message = capsys.readouterr().err
    assert "ravine/result.json" in message
    assert message.endswith("run `report` first\n")
    assert message.count("\n") == 1


def test_without_matplotlib_one_line_says_what_to_install(tmp_path: Path, capsys: Any) -> None:
    with patch.dict(sys.modules, {"matplotlib": None}):
        assert main(["run", "ravine", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        "error: studies run needs matplotlib, which is not installed; "
        "pip install 'jaxopt-notes[plots]'\n"
    )


def test_the_strip_judges_at_half_and_double_the_threshold_and_at_other_budgets() -> None:
    def judge(numbers: dict[str, Any], threshold: dict[str, float]) -> Verdict:
        return Verdict("holds" if numbers["x"] >= threshold["least"] else "fails", "", "")

    measured = Measured({"x": 3.0}, {}, {"1 epoch": {"x": 1.0}, "30 epochs": {"x": 2.0}})
    wanted = {"half": "holds", "double": "fails", "1 epoch": "fails", "30 epochs": "holds"}
    assert strip(judge, measured, {"least": 2.0}) == wanted


def test_budgets_and_the_hash_of_the_rule_are_kept_with_a_measurement(tmp_path: Path) -> None:
    module = pretended([])
    measure = module.measure
    module.measure = lambda setting: measure(setting)._replace(budgets={"3 epochs": {"x": 1.0}})
    with patch.object(study, "load", lambda name: module):
        first = runner.run("flatten", tmp_path)
        again = runner.run("flatten", tmp_path)
    assert first == again
    assert first["budgets"] == {"3 epochs": {"x": 1.0}}
    assert first["strip"]["3 epochs"] == "holds"
    assert first["ran_under"] == registration.rule_hash("flatten", first["setting"])
    with (
        patch.object(study, "load", lambda name: module),
        patch.object(registration, "rule_hash", lambda name, setting: "another"),
        patch.object(registration, "registered", lambda: {"flatten": "another"}),
    ):
        later = runner.run("flatten", tmp_path)
    assert later["ran_under"] == first["ran_under"]
    assert later["registration"] == "differs"


def test_spread_is_median_lowest_and_highest() -> None:
    assert spread([4, 1, math.inf, 2, 3]) == {"median": 3, "lowest": 1, "highest": math.inf}
    assert spread(np.array([1.0, 2.0]))["median"] == 1.5
