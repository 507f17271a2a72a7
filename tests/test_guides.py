"""The guides: their blocks run in order and print the text below them."""

import contextlib
import inspect
import io
import json
import re
import shlex
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_notes
from jaxopt_notes import conventions
from jaxopt_notes.studies import __main__ as studies_command
from jaxopt_notes.studies import claims, study
from jaxopt_notes.studies.wording import VERDICTS
from tests.studies import test_frame

DOCS = Path(__file__).parents[1] / "docs"
BLOCKS = re.compile(r"```(python|text)\n(.*?)```", re.DOTALL)
BY_HAND = (DOCS / "by-hand.md").read_text(encoding="utf-8")


def run(page: str) -> None:
    """Runs a page's blocks as a reader goes through it, and compares what they print."""
    names: dict[str, Any] = {}
    printed = io.StringIO()
    with np.printoptions():
        for kind, block in BLOCKS.findall((DOCS / page).read_text(encoding="utf-8")):
            if kind == "text":
                assert printed.getvalue() == block
                continue
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(block, page, "exec"), names)


def test_each_loop_by_hand_takes_the_packages_path_and_prints_the_table_shown():
    run("by-hand.md")


def test_adam_is_15_lines_at_most():
    _, adam = BLOCKS.findall(BY_HAND)[0]
    assert len(adam.splitlines()) <= 15


def test_every_optimizer_of_the_notes_is_written_by_hand():
    own = inspect.getmembers(conventions.notes, inspect.isfunction)
    compared = set(re.findall(r"notes\.(\w+)\(", BY_HAND))
    assert compared == {name for name, f in own if f.__module__ == conventions.notes.__name__}
    assert "adam_to_sgd(" in BY_HAND


@pytest.mark.parametrize("ending", [".md", ".zh-CN.md"])
def test_the_notes_have_each_study_with_its_verdict(ending):
    page = (DOCS / f"notes{ending}").read_text(encoding="utf-8")
    rows = re.findall(r"\]\(studies/([\w-]+)/README.*?\) \| (.*?) \|", page)
    words = {word: texts[1 if ending == ".md" else 2] for word, texts in VERDICTS.items()}
    results = {name: DOCS / "studies" / name / "result.json" for name in study.names()}
    verdicts = {
        name: words[json.loads(path.read_text(encoding="utf-8"))["verdict"]["word"]]
        for name, path in results.items()
    }
    assert dict(rows) == verdicts
    assert len(rows) == len(verdicts)


# The tables of traps in docs/optimizers.md.
HOMES: dict[str, Any] = {
    "notes": conventions.notes,
    "optax": optax,
    "torch": conventions.torch,
    "Keras 3": conventions.keras,
    "TensorFlow 1": conventions.tensorflow1,
}
TRAPS = re.findall(
    r"^\| (notes|optax|torch|Keras 3|TensorFlow 1) \| `(\w+)\((.*)\)` \| `(.*?)` \|",
    (DOCS / "optimizers.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)
SIZES = np.array([1.0, 1e-2, 1e-4, 1e-7])  # the last so small that ε decides
GRADIENTS = np.random.default_rng(0).normal(size=(5, 4)) * SIZES


def learning_rate(count: Any) -> Any:
    return 0.1 / (1 + count)


def path(optimizer: optax.GradientTransformation) -> np.ndarray:
    theta = jnp.array([2.0, -1.0, 0.5, 1e-3])
    state, steps = optimizer.init(theta), []
    for g in GRADIENTS:
        updates, state = optimizer.update(jnp.array(g), state, theta)
        theta = optax.apply_updates(theta, updates)
        steps.append(np.array(updates))
    return np.array(steps)


def build_optimizer(framework: str, call: str, keywords: str) -> optax.GradientTransformation:
    """The framework's optimizer: `conventions` has each, compared with the source elsewhere."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", "_", call.removesuffix("Optimizer")).lower()
    function = getattr(HOMES[framework], name)
    arguments = eval(f"dict({keywords})")
    rate = {"notes": next(iter(inspect.signature(function).parameters)), "torch": "lr"}
    return function(**{rate.get(framework, "learning_rate"): learning_rate}, **arguments)


@pytest.mark.parametrize(("framework", "call", "keywords", "here"), TRAPS)
def test_the_call_named_here_takes_the_frameworks_path(framework, call, keywords, here):
    with jax.enable_x64(True):
        names = {"α": learning_rate, "optax": optax, "conventions": conventions}
        ours = eval(here, vars(jaxopt_notes.optimizers) | names)
        np.testing.assert_allclose(
            path(ours), path(build_optimizer(framework, call, keywords)), rtol=1e-11, atol=1e-18
        )


def test_each_optimizer_of_the_notes_has_its_traps_and_its_picture():
    assert len(TRAPS) > 28
    page = (DOCS / "optimizers.md").read_text(encoding="utf-8")
    for section in re.split(r"^## ", page, flags=re.MULTILINE):
        title = section.splitlines()[0]
        if title in ("SGD", "Momentum", "AdaGrad", "RMSProp", "Adam", "AdamW"):
            rows = re.findall(r"^\| (notes|optax|torch|Keras 3|TensorFlow 1) \|", section, re.M)
            assert {"optax", "torch", "Keras 3", "TensorFlow 1"} <= set(rows), title
            assert "pictures/path-" in section
    for name in re.findall(r"pictures/[\w.-]+", page):
        assert (DOCS / name).stat().st_size < 40_000, name


def test_the_pictures_numbers_are_those_of_the_package():
    with pytest.MonkeyPatch.context() as patch:
        pytest.importorskip("matplotlib", reason="needs the extra plots")
        patch.syspath_prepend(DOCS.parent / "scripts")
        import optimizer_paths
    numbers = json.loads((DOCS / "pictures" / "optimizer-paths.json").read_text(encoding="utf-8"))
    walked = optimizer_paths.paths()
    assert list(numbers) == list(walked)
    for name, one in walked.items():
        # Near the minimum AdaGrad and RMSProp are a few denormal steps long.
        np.testing.assert_allclose(numbers[name]["x"], one[:, 0], rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(numbers[name]["y"], one[:, 1], rtol=1e-9, atol=1e-12)


def test_the_page_on_your_own_images_prints_what_it_shows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run("guides/own-images.md")


@pytest.mark.slow
def test_the_commands_on_your_own_images_run(tmp_path, monkeypatch):
    """The commands run in this process: the test is about the page."""
    monkeypatch.chdir(tmp_path)
    run("guides/own-images.md")
    page = (DOCS / "guides/own-images.md").read_text(encoding="utf-8")
    for line in re.search(r"```sh\n(.*?)```", page, re.DOTALL)[1].splitlines():
        python, m, module, *arguments = shlex.split(line)
        assert (python, m) == ("python", "-m")
        assert import_module(module).main(arguments) == 0, line
    metrics = json.loads(Path("runs/shapes/metrics.json").read_text(encoding="utf-8"))
    assert metrics["accuracy"] > 0.9
    assert Path("shapes.jax").stat().st_size > 0


@pytest.fixture(name="first_step")
def _first_step(tmp_path, monkeypatch):
    """The page's study among the others."""
    page = (DOCS / "guides/add-a-study.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "first_step.py").write_text("\n\n".join(blocks), encoding="utf-8")
    monkeypatch.setattr(claims, "__path__", [*claims.__path__, str(tmp_path)])
    caches = study.names, study.about
    for cache in caches:
        cache.cache_clear()
    yield re.search(r"```text\n(.*?)```", page, re.DOTALL)[1]
    sys.modules.pop("jaxopt_notes.studies.claims.first_step", None)
    for cache in caches:
        cache.cache_clear()


def test_the_page_on_adding_an_optimizer_writes_reads_compares_and_trains_one():
    pytest.importorskip("sympy", reason="needs the extra microscope")
    run("guides/add-an-optimizer.md")


def test_the_page_on_adding_a_study_has_a_study_that_runs(first_step, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="needs the extra plots")
    test_frame.test_a_study_says_all_of_itself_in_both_languages("first-step")
    command = ["run", "first-step", "--quick", "--out", str(tmp_path / "out")]
    assert studies_command.main(command) == 0
    assert capsys.readouterr().out.startswith(first_step)
    assert (tmp_path / "out" / "first-step" / "picture.png").exists()


IDENTIFIED = BLOCKS.findall((DOCS / "identified.md").read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("block", "package"),
    list(zip(IDENTIFIED, ("torch_optimizer", "heavyball", "optimi"), strict=True)),
)
def test_another_packages_optimizer_prints_what_stands_beside_it(block, package, capsys):
    reason = f"needs {package}, one of the packages that the page compares"
    names = {name: pytest.importorskip(name, reason=reason) for name in (package, "torch")}
    _, code = block
    exec(compile(code, "identified.md", "exec"), names)
    numbers = re.compile(r"-?\d+\.\d+")
    *_, comment = re.findall(r"print\(.*# (.*)", code)
    sentence = comment.split(";")[0]
    printed = [f"{float(n):.4g}" for n in numbers.findall(capsys.readouterr().out)]
    assert printed == [f"{float(n):.4g}" for n in numbers.findall(sentence)]
