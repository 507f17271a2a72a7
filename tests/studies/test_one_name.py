"""The race of the five frameworks: its equations are theirs, and each line does what it says."""

import json
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_notes
from jaxopt_notes.studies import one_name
from jaxopt_notes.verification import formulas, frameworks
from tests.studies.browser import Browser

VECTORS = Path(__file__).parents[2] / "docs" / "vectors"
STEPS = 12
PAIRS = [
    (family, framework, other)
    for family, entry in one_name.FAMILIES.items()
    for framework in entry["calls"]
    for other in entry["calls"]
    if framework != other
]


@pytest.fixture(scope="module")
def race(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Browser:
    file = tmp_path_factory.mktemp("page") / one_name.FILE
    file.write_text(one_name.as_page(), encoding="utf-8")
    browser.open(file, 1280)
    return browser


def cases() -> Iterator[tuple[str, dict[str, Any]]]:
    for file in sorted(VECTORS.glob("*-*.json")):
        yield file.stem, json.loads(file.read_text(encoding="utf-8"))


def test_every_frameworks_vectors_are_met(race: Browser) -> None:
    """docs/vectors, from numbers of 50 digits: the page's equations in float64."""
    shared = json.loads((VECTORS / "gradients.json").read_text(encoding="utf-8"))
    start = [*shared["start"]["w"], *shared["start"]["b"]]
    gradients = [w + b for w, b in zip(shared["gradients"]["w"], shared["gradients"]["b"])]
    assert len(list(cases())) > 60
    for name, case in cases():
        equation = frameworks.FRAMEWORKS[case["optimizer"]][0].__name__
        terms = {**case["terms"], "α": case["keywords"]["learning_rate"]}
        path = race.evaluate(
            f"((gradients, start, k) => {{ const memory = start.map(() => ({{}}));"
            "return gradients.reduce((path, gs, n) => [...path, gs.map((g, i) => path[n][i] + "
            f"equations.{equation}(g, memory[i], n + 1, k, path[n][i]))], [start]); }})"
            f"({json.dumps(gradients)}, {json.dumps(start)}, {json.dumps(terms)})"
        )
        scale = np.array([*case["scale"]["w"], *case["scale"]["b"]])
        scale = np.where(scale == 0, 1, scale)
        for step, expected in case["expected"].items():
            off = np.abs(np.array(path[int(step)]) - [*expected["w"], *expected["b"]])
            assert (off / scale).max() < 1e-9, (name, step)


def test_the_terms_are_those_of_the_vectors(race: Browser) -> None:
    """Each case's keywords, said in the page's terms, are the case's terms."""
    known = {
        f"{framework}.{call[0]}": (family, framework)
        for family, entry in one_name.FAMILIES.items()
        for framework, call in entry["calls"].items()
    }
    seen = 0
    for name, case in cases():
        if case["optimizer"] not in known:
            continue
        family, framework = known[case["optimizer"]]
        entry = race.evaluate(f"families.{family}.{framework}")
        calls = entry["ways"][-1]["keywords"]
        terms = {**entry["terms"]}
        for keyword, value in case["keywords"].items():
            if keyword in calls:
                terms |= dict(zip(calls[keyword].split(","), np.ravel(value).tolist()))
        if "rate_inside" not in case["terms"]:
            terms.pop("rate_inside", None)
        if family == "momentum" and "β" not in case["terms"]:
            terms.pop("β")  # plain SGD
        assert {k: v for k, v in terms.items() if v} == {
            k: v for k, v in case["terms"].items() if v
        }, name
        seen += 1
    assert seen > 30


def line(race: Browser, family: str, framework: str, other: str) -> dict[str, Any]:
    answer: dict[str, Any] = race.evaluate(
        f"agreement('{family}', '{framework}', '{other}', {{}}, {{ α: 0.03, drop: 0 }})"
    )
    return answer


def goal_of(family: str, other: str, gradients: np.ndarray) -> np.ndarray:
    """Where the written equation of the followed framework goes, from 0."""
    optimizer = one_name.FAMILIES[family]["calls"][other][0]
    equation, terms, _ = frameworks.FRAMEWORKS[f"{other}.{optimizer}"]
    if family == "momentum":
        terms = {**terms, "β": 0.9}
    rates = np.full(len(gradients), 0.03)
    return np.stack(list(equation(gradients, rates, np.zeros(gradients.shape[1]), **terms)))


def gradients_of(scale: float = 1.0) -> np.ndarray:
    random = np.random.default_rng(1)
    return random.normal(size=(STEPS, 4)) * np.array([1.0, 1e-3, 1e-5, 30.0]) * scale


def test_each_line_in_jax_walks_as_the_other_framework_does(race: Browser) -> None:
    """Every different line of jaxopt_notes and optax that the page writes is run."""
    gradients = gradients_of()
    lines = {
        (family, other, line(race, family, framework, other)["line"])
        for family, framework, other in PAIRS
    }
    ran = 0
    with jax.enable_x64(True):
        for family, other, text in sorted(lines):
            if not re.match(r"(jaxopt_notes|optax)\.", text):
                continue
            optimizer = eval(text, {"jaxopt_notes": jaxopt_notes, "optax": optax})
            theta = jnp.zeros(4)
            state, path = optimizer.init(theta), []
            for g in gradients:
                updates, state = optimizer.update(jnp.asarray(g), state, theta)
                theta = theta + updates
                path.append(theta)
            goal = goal_of(family, other, gradients)
            np.testing.assert_allclose(np.stack(path), goal, rtol=1e-9, atol=1e-15, err_msg=text)
            ran += 1
    assert ran >= 20


@pytest.mark.skipif(find_spec("torch") is None, reason="needs torch")
def test_each_line_in_torch_walks_as_the_other_framework_does(race: Browser) -> None:
    import torch

    gradients = gradients_of()
    lines = {
        (family, other, line(race, family, "torch", other)["line"])
        for family, framework, other in PAIRS
        if framework == "torch"
    }
    ran = 0
    for family, other, text in sorted(lines):
        if not text.startswith("torch."):
            continue
        theta = torch.zeros(4, dtype=torch.float64, requires_grad=True)
        optimizer = eval(text, {"torch": torch, "params": [theta]})
        path = []
        for g in gradients:
            theta.grad = torch.tensor(g)
            optimizer.step()
            path.append(theta.detach().numpy().copy())
        goal = goal_of(family, other, gradients)
        np.testing.assert_allclose(np.stack(path), goal, rtol=1e-9, atol=1e-15, err_msg=text)
        ran += 1
    assert ran >= 3


@pytest.mark.parametrize("drop", [0, 30])
def test_pressing_a_line_makes_the_paths_one(race: Browser, drop: int) -> None:
    for family in one_name.FAMILIES:
        for other in one_name.NAMES:
            race.evaluate(
                f"Object.assign(now, {{ family: '{family}', follow: '{other}', numbers: {{}}, "
                f"agreed: [], α: 0.02, scale: 1e-3, drop: {drop}, landscape: 'ravine' }}); build();"
                "to(120); document.getElementById('all').click()"
            )
            apart = race.evaluate(
                "(() => { const five = walkers(); const goal = five.find((w) => !w.line).path;"
                "return Math.max(...five.flatMap(({ path }) => path.map((p, t) => "
                "Math.hypot(p[0] - goal[t][0], p[1] - goal[t][1])))); })()"
            )
            assert apart < 1e-9, (family, other)
            assert "All five" in race.evaluate("page.finding.textContent")
            race.evaluate("document.getElementById('undo').click()")
            assert race.evaluate("walkers().some((w) => w.agreed)") is False


def test_where_paths_part_is_found(race: Browser) -> None:
    groups = race.evaluate(
        "forks({ a: [[0, 0], [1, 0], [2, 0]], b: [[0, 0], [1, 0.01], [2, 0.05]], "
        "c: [[0, 0], [1, 0], [3, 0]], d: [[0, 0], [0, 1], [0, NaN]] }, 0.1)"
        ".map(({ names, parts }) => [names, parts ?? null])"
    )
    assert groups == [[["a", "b"], None], [["c"], 2], [["d"], 1]]


def test_formulas_are_those_of_the_table(race: Browser) -> None:
    """docs/optimizers-by-framework.md writes them from the same terms."""
    write = {
        "rmsprop": formulas.rmsprop_eps,
        "adagrad": formulas.adagrad_eps,
        "adam": formulas.adam_eps,
        "momentum": formulas.velocity,
    }
    defaults = {"E0": 0.0, "hat": False, "average": False, "debias": False, "dampening": 0.0}
    defaults |= {"rate_inside": False, "nesterov": False}
    for family, entry in one_name.FAMILIES.items():
        for framework, call in entry["calls"].items():
            terms = {**frameworks.FRAMEWORKS[f"{framework}.{call[0]}"][1]}
            terms |= {"ε": 0.001} if terms.get("ε") else {}
            equation = race.evaluate(f"families.{family}.{framework}.equation")
            text = race.evaluate(f"formula('{equation}', {json.dumps(terms)})")
            plain = text.translate(str.maketrans("₀₁₂", "012")).replace("E0", "E_0")
            plain = plain.replace("G0", "G_0").replace("ᵗ", "^t")
            assert plain == write[family](defaults | terms), (family, framework)


def test_a_framework_without_a_hyperparameter_keeps_its_own(race: Browser) -> None:
    """TensorFlow 1's AdaGrad has no ε, and the notes' RMSProp no momentum."""
    assert race.evaluate("termsOf('adagrad', 'tensorflow1', { ε: 0.1 }).ε") == 0
    assert race.evaluate("termsOf('adagrad', 'torch', { ε: 0.1 }).ε") == 0.1
    assert race.evaluate("'μ' in termsOf('rmsprop', 'notes', { μ: 0.9 })") is False


def test_the_address_brings_the_race_back(race: Browser, tmp_path: Path) -> None:
    file = tmp_path / one_name.FILE
    file.write_text(one_name.as_page(), encoding="utf-8")
    hash_ = "name=adam&follow=keras&alpha=0.1&scale=0.01&eps=0.001&agreed=torch,optax&steps=60"
    race.open(file, 1280, hash=hash_)
    state = race.evaluate("[now.family, now.follow, now.α, now.scale, now.numbers, now.agreed]")
    assert state == ["adam", "keras", 0.1, 0.01, {"ε": 0.001}, ["torch", "optax"]]
    assert "torch" in race.evaluate("walkers().filter((w) => w.agreed).map((w) => w.name)")
    assert not race.complaints()
