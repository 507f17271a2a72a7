"""Makes `docs/vectors/`: gradients in, parameters out, for an optimizer in any language.

    python scripts/make_vectors.py [--out DIR]

The written equations (`jaxopt_notes/verification/oracle_equations.py`) run on mpmath's numbers of
50 digits; the results are rounded to float64 once, at the end. docs/vectors/README.md says how to
use the files.
"""

import argparse
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import mpmath
import numpy as np

from jaxopt_notes import files
from jaxopt_notes.verification import frameworks, oracle_equations, settings

OUT = Path(__file__).resolve().parent.parent / "docs" / "vectors"
DIGITS = 50
STEPS = 300
LEARNING_RATE = 0.01
RECORDED = (1, 2, 3, 10, 30, 100, 255, 256, 257, 258, 300)
START = {"w": [1.0, -1.0, 0.5, 0.0], "b": [0.25, 1.0]}
OPTIMIZERS = ("sgd", "momentum", "adagrad", "rmsprop", "adam", "adamw")
# How far a right implementation may be from the expected parameters, in units of each parameter's
# scale. A centred RMSProp subtracts numbers that are nearly equal, and loses digits.
TOLERANCES = {"float64": 1e-12, "float32": 2e-5, "bfloat16": 0.03}
CENTRED = TOLERANCES | {"float32": 2e-4}
# How many steps a dtype is judged by: later, bfloat16 loses small steps.
JUDGED = {"float64": STEPS, "float32": STEPS, "bfloat16": 10}
Faults = Mapping[str, dict[str, Any]]
# Equation → kind of fault → the terms with the fault.
FAULTS: dict[str, Faults] = {
    "sgd": {
        "the velocity is scaled by 1 − β": {"average": True},
        "the velocity is not scaled by 1 − β": {"average": False},
        "the velocity is divided by 1 − β^t": {"debias": True},
        "dampening is ignored": {"dampening": 0.0},
        "Nesterov's form is ignored": {"nesterov": False},
        "the velocity is ignored": {"β": 0.0},
        "weight decay is ignored": {"coupled": 0.0, "decoupled": 0.0},
    },
    "adagrad": {
        "the accumulator starts at 0": {"G0": 0.0},
        "the accumulator starts at 1": {"G0": 1.0},
        "ε stands inside the root": {"inside": True},
        "ε stands outside the root": {"inside": False},
        "the learning rate's decay is ignored": {"rate_decay": 0.0},
        "weight decay is ignored": {"coupled": 0.0, "decoupled": 0.0},
    },
    "rmsprop": {
        "the accumulator starts at 1": {"E0": 1.0},
        "the accumulator starts at 0": {"E0": 0.0},
        "ε stands inside the root": {"inside": True},
        "ε stands outside the root": {"inside": False},
        "the average is divided by 1 − β^t": {"debias": True},
        "the mean is not subtracted": {"centered": False},
        "momentum is ignored": {"μ": 0.0},
        "Nesterov's form is ignored": {"nesterov": False},
        "weight decay is ignored": {"coupled": 0.0, "decoupled": 0.0},
    },
    "adam": {
        "no bias correction of the first moment": {"debias_m": False},
        "no bias correction of the second moment": {"debias_v": False},
        "ε is added before the bias correction": {"hat": True},
        "ε is added after the bias correction": {"hat": False},
        "ε is missing": {"ε": 1e-30},
        "ε also stands inside the root": {"ε_root": 1e-8},
        "β2 is rounded to 1, as bfloat16 does to 0.999": {"β2": 1.0 - 1e-9},
        "the maximum is ignored": {"amsgrad": False},
        "the maximum is taken on the other side of the correction": {"corrected_first": True},
        "Nesterov's form is ignored": {"nesterov": False},
        "weight decay is ignored": {"coupled": 0.0, "decoupled": 0.0, "unscaled": 0.0},
    },
}
# Decay that goes through the moments where it should not, and the reverse.
EXCHANGED = {
    "weight decay goes through the moments": ("decoupled", "coupled"),
    "weight decay passes by the moments": ("coupled", "decoupled"),
    "weight decay is not multiplied by the learning rate": ("decoupled", "unscaled"),
    "weight decay is multiplied by the learning rate": ("unscaled", "decoupled"),
}


# Faults of the step count: a line of the equation's source, and the line with the fault.
_COUNTED = "for t, (g, α) in enumerate(zip(gs, rates), start=1):\n"
COUNTS = {
    "the step counter stops at 256": f"{_COUNTED}        t = min(t, 256)\n",
    "the first step counts as 2": _COUNTED.replace("start=1", "start=2"),
    "the count rises once for each of two arrays": f"{_COUNTED}        t = 2 * t\n",
}


def gradients() -> dict[str, np.ndarray]:
    """Array → float64 (steps, size), every number exact in bfloat16.

    w: a constant, one push and then zeros, a random one of size 1, a tiny one.
    b: a large one that is often zero, and one that is always zero.
    """
    random = np.random.default_rng(0)
    noise = random.normal(0.3, 1.0, (3, STEPS))
    columns = np.zeros((6, STEPS))
    columns[0] = 0.5
    columns[1, 0] = 1.0
    columns[2] = noise[0]
    columns[3] = noise[1] * 2.0**-24
    columns[4] = noise[2] * 2.0**10 * (random.random(STEPS) < 0.7)
    exact = _to_bfloat16(columns).T
    return {"w": exact[:, :4], "b": exact[:, 4:]}


def _to_bfloat16(x: np.ndarray) -> np.ndarray:
    """The nearest numbers of eight significant bits."""
    mantissa, exponent = np.frexp(x)
    return np.ldexp(np.round(mantissa * 256) / 256, exponent)


def walk(
    equation: Callable[..., Any], terms: dict[str, Any], grads: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Array → mpmath numbers (steps, size): the parameters after each step.

    Args:
      equation: one of `oracle_equations`.
      terms: its letters and forms.
      grads: from `gradients`.
    """
    exact = {key: _exact(value) for key, value in terms.items()}
    rates = [_exact(LEARNING_RATE)] * STEPS
    return {
        leaf: np.stack(list(equation(_all_exact(g), rates, _all_exact(START[leaf]), **exact)))
        for leaf, g in grads.items()
    }


def _exact(value: Any) -> Any:
    """A decimal as it is written: 0.9 is nine tenths, not the nearest float64."""
    return mpmath.mpf(repr(value)) if isinstance(value, float) else value


def _all_exact(x: Any) -> np.ndarray:
    return np.vectorize(mpmath.mpf, otypes=[object])(np.asarray(x, np.float64))


def case(name: str, keywords: dict[str, Any], grads: dict[str, np.ndarray]) -> dict[str, Any]:
    """One file: the expected parameters, and the faults that they show in float32."""
    terms = frameworks.terms(name, keywords)
    equation = frameworks.FRAMEWORKS[name][0]
    right = walk(equation, terms, grads)
    scale = {
        leaf: np.maximum(np.abs(x).max(0), np.abs(START[leaf])).astype(float)
        for leaf, x in right.items()
    }
    at = [step - 1 for step in RECORDED]
    tolerance = CENTRED if terms.get("centered") else TOLERANCES
    expected = {
        str(i + 1): {leaf: [float(x) for x in path[i]] for leaf, path in right.items()} for i in at
    }
    caught = []
    for fault, (wrong, changed) in _faults(equation, terms).items():
        try:
            path = walk(wrong, changed, grads)
        except TypeError:  # the root of a negative number, which mpmath makes complex
            caught.append(fault)
            continue
        off = max(
            float(np.max(np.abs(path[leaf][at] - right[leaf][at]) / np.where(size, size, 1)))
            for leaf, size in scale.items()
        )
        if off > 2 * tolerance["float32"]:
            caught.append(fault)
    return {
        "optimizer": name,
        "keywords": {"learning_rate": LEARNING_RATE, **keywords},
        "terms": terms,
        "gradients": "gradients.json",
        "scale": {leaf: x.tolist() for leaf, x in scale.items()},
        "tolerance": tolerance,
        "expected": expected,
        "catches": caught,
    }


def _faults(
    equation: Callable[..., Any], terms: dict[str, Any]
) -> dict[str, tuple[Callable[..., Any], dict[str, Any]]]:
    """The faults that can change this case: the equation and the terms with each of them."""
    changed = {fault: terms | change for fault, change in FAULTS[equation.__name__].items()}
    for fault, (old, new) in EXCHANGED.items():
        if terms.get(old):
            changed[fault] = {**terms, old: 0.0, new: terms[old]}
    faults = {fault: (equation, wrong) for fault, wrong in changed.items() if wrong != terms}
    turned = {**terms, "maximize": not terms.get("maximize", False)}
    faults["the sign of the gradient is turned"] = equation, turned
    source = inspect.getsource(equation)
    if equation.__name__ == "adam":
        for fault, line in COUNTS.items():
            scope = dict(vars(oracle_equations))
            exec(source.replace(_COUNTED, line), scope)
            faults[fault] = scope["adam"], terms
    return faults


def cases() -> list[tuple[str, dict[str, Any]]]:
    """The certificate's settings of the notes' optimizers, in each framework."""
    chosen = []
    for setting in settings.settings():
        _, _, called = frameworks.FRAMEWORKS.get(setting.name, (None, {}, ""))
        known = {pair.split("=")[0] for pair in called.split()}
        new = (setting.name, setting.keywords) not in chosen
        if settings.kind(setting) in OPTIMIZERS and set(setting.keywords) <= known and new:
            chosen.append((setting.name, setting.keywords))
    return chosen


def main() -> None:
    """Writes one file a case, and the gradients that they share."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--out", type=Path, default=OUT, metavar="DIR", help="(default: docs/vectors)"
    )
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    mpmath.mp.dps = DIGITS
    grads = gradients()
    numbers: dict[str, int] = {}
    for name, keywords in cases():
        numbers[name] = numbers.get(name, 0) + 1
        made = case(name, keywords, grads)
        files.write_json(out / f"{name}-{numbers[name]}.json", made)
        print(f"{name}-{numbers[name]}: {len(made['catches'])} faults", flush=True)
    shared = {
        "start": START,
        "steps": STEPS,
        "judged": JUDGED,
        "gradients": {leaf: g.tolist() for leaf, g in grads.items()},
    }
    files.write_json(out / "gradients.json", shared)


if __name__ == "__main__":
    main()
