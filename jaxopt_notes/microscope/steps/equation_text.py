"""The text, the name and the hyperparameter names of an equation of the family."""

import numpy as np

from jaxopt_notes.microscope.steps.families import Structure
from jaxopt_notes.microscope.steps.fitting import Fit


def family(s: Structure) -> str:
    """The optimizer's usual name.

    >>> family(Structure(first="average", second="average", corrects="mv", eps="outside"))
    'Adam'
    """
    if s.sign:
        return "Lion" if s.first else "sign descent"
    if not s.second:
        averages = "moving average with bias correction" if s.corrects else "momentum (average)"
        name = {"": "SGD", "average": averages}.get(s.first, "SGD with momentum")
        return name.replace("momentum", "Nesterov momentum") if s.nesterov else name
    if not s.first:
        names = {"sum": "AdaGrad", "centred": "centred RMSProp", "average": "RMSProp"}
        name = names.get(s.second, "AMSGrad")
        return {"": name, "sum": f"{name} with momentum"}.get(
            s.momentum, f"{name} with Nesterov momentum"
        )
    names = {"max": "AMSGrad", "max of corrected": "AMSGrad", "infinity": "AdaMax"}
    name = names.get(s.second, "NAdam" if s.nesterov else "Adam")
    return f"{name}W" if s.decay in ("decoupled", "free") else name


def equation(s: Structure) -> str:
    """The equations of one step, one line for each computed value.

    >>> print(equation(Structure(first="sum", maximize=True)))
    x = −g
    m ← β1 m + x
    θ ← θ − α m
    """
    lines = []
    x = "−g" if s.maximize else "g"
    if s.clip:
        bound = "clip to ±c" if s.clip == "value" else "g · min(1, c / ‖g‖)"
        x = f"{bound} of {x}" if s.clip == "value" else bound.replace("g ·", f"{x} ·")
    x += " + λ θ" if s.decay == "coupled" else ""
    if x != "g":
        lines.append(f"x = {x}")
        x = "x"
    d = _direction(s, x, lines)
    if s.momentum:
        lines.append(f"w ← μ w + {d}")
        d = f"({d} + μ w)" if s.momentum == "nesterov" else "w"
    rate = "α / (1 + η (t − 1))" if s.fading else "α"
    step = f"θ ← θ − {rate} {d}"
    lines.append(step + {"decoupled": " − α λ θ", "free": " − λ θ"}.get(s.decay, ""))
    return "\n".join(lines)


def _direction(s: Structure, x: str, lines: list[str]) -> str:
    if s.sign:
        if not s.first:
            return f"sign({x})"
        lines.append(f"u = sign(β1 m + (1 − β1) {x})")
        lines.append(f"m ← β2 m + (1 − β2) {x}")
        return "u"
    top = _first(s, x, lines)
    if not s.second:
        return top
    if s.second == "infinity":
        inside, outside = (f" + {e}" if s.eps == e_at else "" for e, e_at in _EPS)
        lines.append(f"v ← max(β2 v, |{x}|{inside})")
        if s.eps == "floor":
            return f"{top} / max(v, ε)"
        return f"{top} / (v{outside})" if outside else f"{top} / v"
    v = f"v + {x}²" if s.second == "sum" else f"β2 v + (1 − β2) {x}²"
    lines.append(f"v ← {v}")
    root = "v / (1 − β2^t)" if "v" in s.corrects else "v"
    if s.second == "max":
        lines.append("s ← max(s, v)")
        root = root.replace("v /", "s /") if "v" in s.corrects else "s"
    if s.second == "max of corrected":
        lines.append(f"s ← max(s, {root})")
        root = "s"
    if s.second == "centred":
        lines.append(f"n ← β2 n + (1 − β2) {x}")
        root += " − n²" if "v" not in s.corrects else " − (n / (1 − β2^t))²"
    if s.eps == "hat":
        inner = "s" if "max" in s.second else "v"
        return f"{top} √(1 − β2^t) / (√{inner} + ε)"
    simple = len(root) == 1
    bottom = {
        "": f"√{root}" if simple else f"√({root})",
        "inside": f"√({root} + ε)",
        "outside": f"(√{root} + ε)" if simple else f"(√({root}) + ε)",
        "both": f"(√({root} + ε_root) + ε)",
        "floor": f"max(√{root}, ε)" if simple else f"max(√({root}), ε)",
    }[s.eps]
    return f"{top} / {bottom}"


_EPS = (("ε", "inside"), ("ε", "outside"))


def _first(s: Structure, x: str, lines: list[str]) -> str:
    if not s.first:
        return x
    share = {"sum": "", "average": "(1 − β1) "}.get(s.first, "(1 − τ) ")
    lines.append(f"m ← β1 m + {share}{x}" + (" (m = x at t = 1)" * (s.first == "dampened")))
    corrected = "m" in s.corrects
    if not s.nesterov:
        top = "m / (1 − β1^t)" if corrected else "m"
        return f"({top})" if corrected and s.second else top
    if corrected:
        return f"(β1 m / (1 − β1^(t+1)) + (1 − β1) {x} / (1 − β1^t))"
    return f"({share}{x} + β1 m)"


def names(s: Structure) -> dict[str, str]:
    """optax's name for each letter."""
    adaptive = s.first and s.second
    rmsprop = s.second in ("average", "centred") and not s.first
    called = {
        "α": "learning_rate",
        "β1": "b1" if adaptive or s.sign else "decay" if s.corrects else "momentum",
        "τ": "dampening",
        "β2": "decay" if rmsprop else "b2",
        "μ": "momentum",
        "ε": "eps_root" if s.eps == "inside" and adaptive and s.second != "infinity" else "eps",
        "ε_root": "eps_root",
        "v0": "initial_accumulator_value" if s.second == "sum" else "initial_scale",
        "clip": "max_norm" if s.clip == "norm" else "max_delta",
        "λ": "weight_decay",
        "η": "lr_decay",
    }
    if only_sum(s):
        called["v0"] = called["ε"] = "initial_accumulator_value + eps"
    return called


def only_sum(s: Structure) -> bool:
    """Whether AdaGrad's G_0 and ε are both inside the root, so that only their sum shows."""
    return s.second == "sum" and (s.eps == "inside" or (s.initial and not s.eps))


def hyperparameters(fit: Fit) -> dict[str, float]:
    """The numbers by optax's names, each as the shortest decimal that rounding allows."""
    own, doubt = {**fit.values}, doubts(fit)
    own["α"] = own.pop("rate", own["α"])
    if "αλ" in own:
        own["λ"] = own.pop("decay", own["αλ"] / own["α"])
    return {name: tidy(own[letter], doubt[name]) for letter, name in _named(fit)}


def doubts(fit: Fit) -> dict[str, float]:
    """The relative uncertainty of each number from rounding, by optax's names."""
    doubt = dict(fit.doubt)
    if "αλ" in doubt:
        doubt["λ"] = doubt["αλ"] + doubt["α"]
    return {name: 4 * doubt.get(letter, 0.0) for letter, name in _named(fit)}


def _named(fit: Fit) -> list[tuple[str, str]]:
    letters = ["α", *fit.structure.letters, *(["λ"] if "αλ" in fit.values else [])]
    called = names(fit.structure)
    return [(letter, called[letter]) for letter in letters]


def tidy(value: float, doubt: float = 0.0) -> float:
    """The shortest decimal within the relative doubt or 1e-8.

    >>> tidy(0.9000000000001), tidy(1 - 1.00000000002e-3)
    (0.9, 0.999)
    """
    allowed = max(doubt, 1e-8) * abs(value)
    for digits in range(1, 9):
        short = float(f"{value:.{digits - 1}e}")
        if abs(short - value) <= allowed:
            return short
    return float(f"{value:.12g}")


def rounded_decimal(value: float) -> tuple[str, float] | None:
    """The low precision, if any, in which this number is a rounded short decimal.

    >>> rounded_decimal(0.98828125)
    ('bfloat16', 0.99)
    """
    if not 0 < value < 1 or tidy(value) == float(f"{value:.4g}") or not np.isfinite(value):
        return None
    import ml_dtypes

    usual = (0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9995, 0.9999, 0.99999)
    for name, dtype in (("bfloat16", ml_dtypes.bfloat16), ("float16", np.float16)):
        for decimal in usual:
            if abs(float(np.asarray(decimal, dtype)) - value) < 1e-9:
                return name, decimal
    return None
