"""The proof of `identify`: blind tests on the certificate's settings and on planted faults."""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from jaxopt_notes.microscope.steps import known
from jaxopt_notes.microscope.steps.faults import FAULTS, SOUND, Fault
from jaxopt_notes.microscope.steps.identification import Identification, identify
from jaxopt_notes.microscope.steps.steppers import (
    KerasStepper,
    OptaxStepper,
    Stepper,
    TensorflowStepper,
    TorchStepper,
)
from jaxopt_notes.verification import (
    frameworks,
    oracle_keras,
    oracle_tensorflow,
    oracle_torch,
    settings,
)
from jaxopt_notes.verification.settings import Setting

ACCURACY = 1e-6  # relative accuracy of each hyperparameter
# optax's names → the equation's letters, and the names that an identification may use.
_LETTERS = {
    "β": ("momentum", "decay"),
    "β1": ("b1",),
    "β2": ("b2",),
    "ε": ("eps",),
    "ε_root": ("eps_root",),
    "G0": ("initial_accumulator_value",),
    "E0": ("initial_scale",),
    "μ": ("momentum",),
    "dampening": ("dampening",),
    "rate_decay": ("lr_decay",),
    "coupled": ("weight_decay",),
    "decoupled": ("weight_decay",),
    "unscaled": ("weight_decay",),
}


class Row(NamedTuple):
    """One line of the proof.

    Attributes:
      kind: "setting", "sound" or "fault".
      name: the name of the setting, optimizer or fault.
      right: whether it was recovered, or named correctly.
      wrong: whether a wrong name was given, or a deviation in a sound optimizer.
      seconds: how long it took.
      identification: the result of `identify`.
    """

    kind: str
    name: str
    right: bool
    wrong: bool
    seconds: float
    identification: Identification


def prove() -> Iterator[Row]:
    """All rows: settings, sound optimizers, faults."""
    for setting in distinct_settings():
        for oracle in ("ours", *setting.oracles):
            if oracle != "equation" and (row := check_setting(setting, oracle)):
                yield row
    for sound in SOUND:
        yield check_planted("sound", sound)
    for fault in FAULTS:
        yield check_planted("fault", fault)


def distinct_settings() -> list[Setting]:
    """The certificate's settings at constant learning rates, each once."""
    seen: dict[str, Setting] = {}
    for setting in settings.settings():
        setting = setting._replace(scheduled=False)
        seen.setdefault(setting.label, setting)
    return list(seen.values())


def check_setting(setting: Setting, oracle: str = "ours") -> Row | None:
    """Identifies one of the certificate's settings from its steps alone.

    Args:
      setting: the setting.
      oracle: whose optimizer runs: "ours", "optax", "torch", "keras" or "tensorflow".

    Returns:
      None where the framework is not installed.
    """
    began = time.perf_counter()
    try:
        stepper = _stepper(setting, oracle)
    except ImportError:
        return None
    identification = identify(stepper)
    seconds = time.perf_counter() - began
    right = identification.known and _recovered(setting, identification)
    wrong = (identification.known and not right) or bool(identification.deviations)
    return Row("setting", f"{oracle}: {setting.label}", right, wrong, seconds, identification)


def _stepper(setting: Setting, oracle: str) -> Stepper:
    name, keywords, rate = setting.optimizer, setting.keywords, settings.RATE
    if oracle == "torch":
        return TorchStepper(lambda of: oracle_torch.optimizer(name, of, keywords, rate))
    if oracle == "keras":
        oracle_keras.load()
        return KerasStepper(lambda: oracle_keras.optimizer(name, keywords, rate))
    if oracle == "tensorflow":
        oracle_tensorflow.load()
        make = oracle_tensorflow.optimizer
        return TensorflowStepper(lambda: make(name, keywords, rate, "float64"))
    build = setting.build_optax if oracle == "optax" else setting.build
    return OptaxStepper(lambda chosen: build(1, chosen), rate)


def check_planted(kind: str, fault: Fault) -> Row:
    """Identifies a planted fault, or a sound `PlainOptimizer`."""
    began = time.perf_counter()
    identification = identify(fault.build(), claim=fault.claim)
    seconds = time.perf_counter() - began
    sentences = (identification.family, *identification.conventions, *identification.deviations)
    right = (
        identification.known
        and all(any(word in sentence for sentence in sentences) for word in fault.words)
        and all(_near(identification.hyperparameters.get(n), x) for n, x in fault.numbers.items())
    )
    wrong = kind == "sound" and bool(identification.deviations)
    return Row(kind, fault.name, right, wrong, seconds, identification)


def _near(estimate: float | None, value: float) -> bool:
    return estimate is not None and abs(estimate - value) <= ACCURACY * abs(value)


# The convention of a setting, if it differs from the setting's own name.
_SAME = {
    "notes.sgd": "optax.sgd",
    "optax.momentum": "notes.momentum",
    "keras.adamw": "keras.adam",
    "tensorflow1.gradient_descent": "optax.sgd",
    "tensorflow1.momentum": "optax.sgd",
}


def _recovered(setting: Setting, identification: Identification) -> bool:
    """Whether the convention and the hyperparameters equal the setting's, or are equivalent."""
    terms = frameworks.terms(setting.name, setting.keywords)
    name = _SAME.get(setting.name, setting.name)
    if name == "optax.adagrad" and not terms["inside"]:
        name = "torch.adagrad"  # ours alone has the keyword
    label = known.claimed(name).label.partition(":")[0]
    if not any(sentence.startswith(f"{label}:") for sentence in identification.conventions):
        return False
    marks = {"maximize": "−g", "centered": "n ←", "amsgrad": "s ←"}
    if any(
        (mark in identification.equation) != bool(terms.get(term)) for term, mark in marks.items()
    ):
        return False
    ahead = any(mark in identification.equation for mark in ("(t+1)", "+ β1 m)", "+ μ w)"))
    return ahead == bool(terms.get("nesterov")) and _numbers(terms, identification)


def _numbers(terms: dict[str, Any], identification: Identification) -> bool:
    expected, both = {"learning_rate": settings.RATE}, "initial_accumulator_value + eps"
    if both in identification.hyperparameters:
        expected[both] = terms.pop("G0") + terms.pop("ε")
    rmsprop = "RMSProp" in identification.family
    for letter, value in terms.items():
        if letter in _LETTERS and value:
            names = ("decay",) if letter == "β" and rmsprop else _LETTERS[letter]
            name = next((n for n in names if n in identification.hyperparameters), names[0])
            expected[name] = value
    return identification.hyperparameters.keys() == expected.keys() and all(
        _near(identification.hyperparameters[n], x) for n, x in expected.items()
    )


def summary(rows: list[Row]) -> list[str]:
    """The figures."""
    lines = []
    for kind, what in (
        ("setting", "settings recovered"),
        ("sound", "sound optimizers recovered"),
        ("fault", "planted faults named rightly"),
    ):
        some = [row for row in rows if row.kind == kind]
        if some:
            right = sum(row.right for row in some)
            wrong = sum(row.wrong for row in some)
            lines.append(
                f"{right} of {len(some)} {what} ({right / len(some):.1%}); "
                f"{wrong} wrong names or deviations"
            )
    times = sorted(row.seconds for row in rows)
    lines.append(f"median {times[len(times) // 2]:.1f} s, longest {times[-1]:.1f} s")
    return lines


def line(row: Row) -> str:
    """One line of the table."""
    verdict = "right" if row.right and not row.wrong else "WRONG" if row.wrong else "missed"
    identification = row.identification
    text = "; ".join(identification.deviations) or identification.family
    return f"{verdict:<7}{row.seconds:5.1f} s  {row.kind:<8}{row.name}: {text}"


def as_json(rows: list[Row]) -> dict[str, Any]:
    """The figures and every row."""
    table = [{**row._asdict(), "identification": row.identification._asdict()} for row in rows]
    return {"summary": summary(rows), "rows": table}
