"""The equations that docs and docstrings print take the paths that `explain` reads."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jaxopt_notes
from jaxopt_notes import conventions
from jaxopt_notes.microscope.equations.catalogue import rows
from jaxopt_notes.microscope.equations.checking import gradients
from jaxopt_notes.microscope.equations.evaluation import Step
from jaxopt_notes.microscope.equations.system import System, read_system
from jaxopt_notes.microscope.equations.tracing import trace_factory, trace_made
from jaxopt_notes.verification.differences import TRAPS
from jaxopt_notes.verification.formulas import adam_eps
from jaxopt_notes.verification.settings import named
from tests.microscope.equations import notation
from tests.microscope.equations.explanations import explained

STEPS = 12
START = np.linspace(-2.0, 3.0, 8)
TABLE = Path(__file__).parents[3] / "docs" / "optimizers.md"

# Equations that a page states once and a formula leaves out: the averages, Adam's step.
G = "G ← G + g²"
E = "E ← β E + (1 − β) g²"
MOMENTS = "m ← β1 m + (1 − β1) g, v ← β2 v + (1 − β2) g²"
HATS = "m̂ = m / (1 − β1^t), v̂ = v / (1 − β2^t)"
ADAM = "u = −α m̂ / (√v̂ + ε)"


def path_read(system: System) -> list[np.ndarray]:
    """θ after each step, by the equations that were read off the program."""
    params: list[Any] = list(system.program.params)
    slots: list[Any] = [np.asarray(s.initial, np.float64) for s in system.program.slots]
    seen = []
    for g in gradients(system.program, STEPS):
        one = Step(system, g, params, slots)
        params, slots = one.parameters(), one.state()
        seen.append(params[0])
    return seen


def path_written(text: str, system: System, values: dict[str, Any]) -> list[np.ndarray]:
    """θ after each step, by equations in text; the state begins as the optimizer's."""
    equations = notation.statements(text)
    env: dict[str, Any] = dict.fromkeys(("m", "v", "E", "G", "s"), 0.0) | values
    for slot, letter in zip(system.program.slots, system.slots):
        if letter in ("E", "G"):
            env[letter] = np.asarray(slot.initial, np.float64)
    for name, value in equations:
        if name.endswith("_0"):
            assert np.all(env[name[0]] == value(env)), f"{name} in {text}"
    env |= {"θ": START}
    seen = []
    for t, (g,) in enumerate(gradients(system.program, STEPS), start=1):
        new = notation.step(equations, env | {"g": g, "t": t})
        env |= {k: new[k] for k in ("m", "v", "E", "G", "s", "θ")}
        seen.append(env["θ"])
    return seen


def assert_same_path(text: str, system: System, values: dict[str, Any]) -> None:
    """The text's path is the program's."""
    for k, (x, y) in enumerate(zip(path_written(text, system, values), path_read(system))):
        np.testing.assert_allclose(
            x - START, y - START, rtol=1e-9, atol=1e-15, err_msg=f"{text} {k}"
        )


def letters_of(system: System) -> dict[str, float]:
    """The hyperparameters by the letters of the pages."""
    return {notation.plain(k): v for k, v in system.constants.items()}


def system_of(function: Any, **keywords: Any) -> System:
    return read_system(trace_factory(function.__name__, function, keywords, START))


def variant(pattern: str, instead: str = r"\1") -> Any:
    """The formula with one of the alternatives that it names."""
    return lambda text: re.sub(pattern, instead, text)


AS_IT_IS = variant("^$", "")
R = {"learning_rate": 0.1}
# Each row of docs/optimizers.md: what is left out of its formula, the keywords, the alternative.
ROWS: dict[str, list[tuple[str, dict[str, Any], Any]]] = {
    "sgd(α)": [("", R, AS_IT_IS)],
    "sgd(α, momentum=β)": [
        ("", R | {"momentum": 0.9}, variant("; Nesterov.*", "")),
        ("", R | {"momentum": 0.9, "nesterov": True}, variant("u = −α v; Nesterov: ", "")),
    ],
    "momentum(α, β)": [("", R, AS_IT_IS)],
    "adagrad(α)": [("", R, variant(" from 0.1", ", G_0 = 0.1"))],
    "adagrad(α, 0, 1e-8, eps_in_sqrt=False)": [
        (
            "",
            R | {"initial_accumulator_value": 0.0, "eps": 1e-8, "eps_in_sqrt": False},
            variant(" from 0", ", G_0 = 0"),
        )
    ],
    "rmsprop(α)": [
        ("", R, variant("; `eps_in_sqrt=False`.*", "")),
        ("", R | {"eps_in_sqrt": False}, variant("u = .*`eps_in_sqrt=False`: ", "u = ")),
    ],
    "rmsprop(α, centered=True)": [(E, R | {"centered": True}, AS_IT_IS)],
    "adam(α)": [("", R, AS_IT_IS)],
    "nadam(α)": [(f"{MOMENTS}, v̂ = v / (1 − β2^t), {ADAM}", R, AS_IT_IS)],
    "amsgrad(α)": [(f"{MOMENTS}, {HATS}", R, AS_IT_IS)],
    "adamw(α, weight_decay=λ)": [(f"{MOMENTS}, {HATS}", R | {"weight_decay": 0.1}, AS_IT_IS)],
    "lion(α, weight_decay=λ)": [("", R | {"weight_decay": 0.1}, AS_IT_IS)],
}
IN_WORDS = {"adam_to_sgd", "handover"}  # what they do is not an equation


def table_rows() -> dict[str, str]:
    """The table of optimizers: each formula, and the first call in its row."""
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    first = lines.index("| here | formula | equal to |") + 2
    table = {}
    for line in lines[first:]:
        if not line.startswith("|"):
            break
        here, formula, _ = re.split(r"(?<!\\)\|", line)[1:4]
        call = re.search(r"`([^`]*)`", here)
        assert call, line
        table[call[1]] = formula.strip()
    return table


def test_every_equation_of_the_table_is_compared():
    calls = table_rows()
    assert {call for call in calls if call.split("(")[0] not in IN_WORDS} == set(ROWS)


@pytest.mark.parametrize("call", ROWS)
def test_the_tables_equations_take_the_path_that_is_read(call):
    for left_out, keywords, choose in ROWS[call]:
        text = choose(table_rows()[call])
        system = system_of(getattr(jaxopt_notes, call.split("(")[0]), **keywords)
        assert_same_path(f"{left_out}, {text}" if left_out else text, system, letters_of(system))


def test_a_wrong_equation_in_the_table_would_be_seen():
    text = table_rows()["adam(α)"]
    system = system_of(jaxopt_notes.adam, **R)
    for wrong in (("√v̂ + ε", "√(v̂ + ε)"), ("(1 − β2) g²", "g²"), ("−α m̂", "−α m")):
        assert wrong[0] in text
        with pytest.raises(AssertionError):
            assert_same_path(text.replace(*wrong), system, letters_of(system))


def completed(text: str, terms: dict[str, Any]) -> str:
    """A formula of docs/optimizers-by-framework.md with what stands beside it."""
    text = re.sub(r"v ← g at first, then ", "v_1 = g, v ← ", text)
    step = adam_eps(terms) if "ε" in terms and "hat" in terms else ""
    hat = ", with ε̂" in text
    text = text.replace(", with ε̂", "").replace(" before the moments", f", {MOMENTS}, {step}")
    if "beside Adam's step" in text:
        decay = text.removesuffix(" beside Adam's step").removeprefix("θ ← θ")
        text = f"{MOMENTS}, {step} {decay}"
    if "in place of v̂_t" in text:
        corrected = "max(v̂_1" in text
        text = (
            "s ← max(s, v / (1 − β2^t)), v̂ = s"
            if corrected
            else "s ← max(s, v), v̂ = s / (1 − β2^t)"
        )
        text = f"{MOMENTS}, {text}, {step.replace('√v ', '√s ') if hat else step}"
    for letter, left_out in (("G", G), ("E", E)):
        if re.search(rf"√\(?{letter}", text):
            text = f"{left_out}, {text}"
    if "m̂" in text or "· m /" in text:
        text = text if "m ←" in text else f"{MOMENTS}, {text}"
        text += "".join(f", {h}" for h in HATS.split(", ") if h.split(" = ")[0] + " =" not in text)
    return text


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.title)
def test_the_traps_formulas_take_the_path_that_is_read(trap):
    for cell in trap.cells:
        setting = named(cell.setting.name, cell.setting.keywords, scheduled=False)
        # Our function is one link of a chain; optax's setting is the whole chain.
        made = setting.build_optax if setting.optimizer == "ema" else setting.build
        system = read_system(trace_made(setting.name, made(STEPS), START))
        terms = cell.terms
        values = {k: v for k, v in terms.items() if isinstance(v, float)} | {"α": 0.01}
        values["λ"] = terms.get("coupled") or terms.get("decoupled") or terms.get("unscaled") or 0.0
        assert_same_path(completed(trap.formula(terms), terms), system, values)


# Each docstring's equation: what it leaves out, its keywords, its own names for our letters.
DOCSTRINGS: dict[str, tuple[str, dict[str, Any], dict[str, str]]] = {
    "notes.sgd": ("", {"alpha": 0.1}, {}),
    "notes.momentum": ("", {"alpha": 0.1}, {}),
    "notes.adagrad": ("", {"alpha": 0.1}, {}),
    "notes.rmsprop": ("", {"eta": 0.1}, {"η": "α"}),
    "notes.adam": (MOMENTS, {"alpha": 0.1}, {}),
    "notes.adamw": (f"{MOMENTS}, {HATS}", {"alpha": 0.1, "weight_decay": 0.1}, {}),
    "torch.sgd": ("", {"lr": 0.1, "momentum": 0.9, "dampening": 0.5}, {"μ": "β", "lr": "α"}),
    "torch.adagrad": ("", {"lr_decay": 0.1}, {"η": "κ", "lr": "α"}),
    "torch.rmsprop": ("", {"momentum": 0.9}, {"α": "β", "lr": "α"}),
    "torch.adam": (f"g ← g + λ θ, {MOMENTS}, {HATS}", {"weight_decay": 0.1}, {"lr": "α"}),
    "torch.adamw": (f"{MOMENTS}, {HATS}", {"weight_decay": 0.1}, {"lr": "α"}),
    "keras.sgd": ("", {"momentum": 0.9}, {"μ": "β"}),
    "keras.adagrad": ("", {}, {}),
    "keras.rmsprop": ("", {"momentum": 0.9}, {"ρ": "β"}),
    "keras.adam": (MOMENTS, {}, {"ε̂": "ε"}),
    "keras.adamw": (MOMENTS, {"weight_decay": 0.1}, {"ε̂": "ε"}),
    "tensorflow1.gradient_descent": ("", R, {}),
    "tensorflow1.momentum": ("", R | {"momentum": 0.9}, {"μ": "β"}),
    "tensorflow1.adagrad": ("", R, {}),
    "tensorflow1.rmsprop": ("", R | {"momentum": 0.9}, {"ρ": "β"}),
    "tensorflow1.adam": (MOMENTS, {}, {"ε̂": "ε"}),
    "tensorflow1.adamw": (MOMENTS, {"weight_decay": 0.1}, {"ε̂": "ε"}),
    "optimizers.sgd": ("", R, {}),
    "optimizers.momentum": ("", R, {}),
    "optimizers.adagrad": (G, R, {}),
    "optimizers.rmsprop": (E, R, {}),
    "optimizers.adam": (f"{MOMENTS}, {HATS}", R, {}),
    "optimizers.adamw": (f"{MOMENTS}, {HATS}", R | {"weight_decay": 0.1}, {}),
    "optimizers.amsgrad": (f"{MOMENTS}, {HATS}, s ← max(s, v̂)", R, {}),
    "optimizers.lion": ("{}, m ← β2 m + (1 − β2) g", R | {"weight_decay": 0.1}, {}),
}
# Their first lines have no step of θ in them.
WITHOUT_STEP = {"ema", "trace", "nadam", "add_decayed_weights", "scale_by_learning_rate"} | IN_WORDS


def test_every_docstring_with_a_step_is_compared():
    homes = {"optimizers": jaxopt_notes.optimizers} | {
        home: getattr(conventions, home) for home in ("notes", "torch", "keras", "tensorflow1")
    }
    written = set()
    for home, module in homes.items():
        for name in getattr(module, "__all__", None) or vars(module):
            doc = getattr(getattr(module, name), "__doc__", None) or ""
            own = getattr(getattr(module, name), "__module__", "").startswith(module.__name__)
            if own and "θ ← " in doc.split("\n\n")[0] and not name.endswith("_rule"):
                written.add(f"{home}.{name}")
    assert written == set(DOCSTRINGS)


@pytest.mark.parametrize("name", DOCSTRINGS)
def test_a_docstrings_equation_takes_the_path_that_is_read(name):
    left_out, keywords, own = DOCSTRINGS[name]
    home, function = name.split(".")
    module = jaxopt_notes.optimizers if home == "optimizers" else getattr(conventions, home)
    text = " ".join(getattr(module, function).__doc__.split("\n\n")[0].split())
    text = re.sub(r"^[A-Z][^:]*: ", "", text)  # its name
    text = re.sub(r"[,:.] (or|of|the|with [A-Z]_t|without|optax|All|s_t the)\b.*", "", text).rstrip(
        "."
    )
    system = system_of(getattr(module, function), **keywords)
    values = letters_of(system)
    values |= {own_letter: values[letter] for own_letter, letter in own.items()}
    if "{}" not in left_out:
        left_out = f"{left_out}, {{}}" if left_out else "{}"
    assert_same_path(left_out.replace("{}", text), system, values)


@pytest.mark.slow
@pytest.mark.parametrize(
    "row", [r for own in list(rows().values())[:3] for r in own], ids=lambda row: row.call
)
def test_what_is_printed_reads_back_as_what_was_checked(row):
    """The text itself, not only the expression behind it, where it has no words in it."""
    made = explained(row)
    lines = [line["text"] for line in made.as_json()["cases"][0]["lines"]]
    if len(made.cases) > 1 or re.search(r"[{‖Σ<>\[]|[a-z]{2}_[a-z]{2}", "".join(lines)):
        pytest.skip("a choice, a norm or a word, which the reader of texts does not know")
    system = made.system
    env = {notation.plain(k): v for k, v in system.constants.items()}
    params, slots = (
        list(system.program.params),
        [np.asarray(s.initial, float) for s in system.program.slots],
    )
    for g in gradients(system.program, 3):
        one = Step(system, g, params, slots)
        new_params, new_slots = one.parameters(), one.state()
        for leaf in range(len(params)):
            mine = {
                notation.plain(letter): old
                for s, letter, old in zip(system.program.slots, system.slots, slots)
                if s.leaf in (leaf, None)
            }
            text = notation.step(
                [s for line in lines for s in notation.statements(line)],
                env | mine | {"g": g[leaf], "θ": params[leaf]},
            )
            np.testing.assert_allclose(text["θ"], new_params[leaf], rtol=1e-12, atol=1e-300)
        params, slots = new_params, new_slots
