"""The family of optimizers that `identify` knows: one step and its options.

All members share one pipeline; a `Structure` switches its parts on and off:

    x ← ± g, clipped ; x ← x + λ θ                     the gradient
    m ← β1 m + x, or β1 m + (1 − β1) x                 the first moment
    v ← v + x², or β2 v + (1 − β2) x², or a maximum    the second moment
    d ← m̂ / (√v̂ + ε)                                   the direction; a sign for Lion
    w ← μ w + d                                        momentum after the division
    θ ← θ − α d − α λ θ                                the step
"""

from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray


class Structure(NamedTuple):
    """The options that define an equation.

    Attributes:
      maximize: whether it climbs.
      clip: "value" or "norm": clipping of the gradient.
      decay: "coupled" (λ θ is added to the gradient) or "decoupled".
      first: the first moment: "sum", "dampened" (a sum that starts from the whole gradient),
        "average"; empty for none.
      nesterov: whether it looks ahead.
      second: the second moment: "sum", "average", "centred", "max", "max of corrected", "infinity";
        empty for none.
      corrects: the moments whose bias is corrected, "", "m", "v" or "mv".
      eps: where ε stands: "outside" the root, "inside", "hat" (outside, before the correction),
        "both", "floor" (the root is at least ε); empty for none.
      initial: the second moment starts from a hyperparameter.
      momentum: momentum after the division: "sum" or "nesterov".
      sign: whether it takes the sign: Lion, or sign descent without a first moment.
      fading: the learning rate is divided by 1 + η (t − 1).
      first_count: the count at the first step.
      late: whether each step uses the previous step's direction.
    """

    maximize: bool = False
    clip: str = ""
    decay: str = ""
    first: str = ""
    nesterov: bool = False
    second: str = ""
    corrects: str = ""
    eps: str = ""
    initial: bool = False
    momentum: str = ""
    sign: bool = False
    fading: bool = False
    first_count: int = 1
    late: bool = False

    @property
    def letters(self) -> tuple[str, ...]:
        """The hyperparameters inside the direction; the learning rate stands outside it."""
        second = self.second not in ("", "sum") or (self.sign and self.first)
        present = {
            "β1": bool(self.first),
            "τ": self.first == "dampened",
            "β2": bool(second),
            "ε": bool(self.eps),
            "ε_root": self.eps == "both",
            "v0": self.initial,
            "μ": bool(self.momentum),
            "clip": bool(self.clip),
            "λ": self.decay == "coupled",
            "η": self.fading,
        }
        return tuple(letter for letter, there in present.items() if there)

    @property
    def size(self) -> int:
        """The number of hyperparameters."""
        return 1 + len(self.letters) + (self.decay == "decoupled")


class Conditions(NamedTuple):
    """The input of an optimizer: T steps of n elements.

    Attributes:
      gradients: (T, n), or (T, K, n) for K histories side by side.
      params: (T, n), the parameters before each step.
      counts: (T,), the step counter.
      rates: (T,), the learning rate of each step, relative to α.
      norms: (T,), the norm that clipping uses.
    """

    gradients: Array
    params: Array
    counts: Array
    rates: Array
    norms: Array


def conditions(gradients: Array, params: Array, **changes: Any) -> Conditions:
    """The ordinary conditions: counts 1, 2, 3, …, a constant learning rate, one array."""
    steps = len(gradients)
    norms = np.sqrt((gradients**2).sum(-1, keepdims=True))
    usual = Conditions(gradients, params, np.arange(1, steps + 1), np.ones(steps), norms)
    return usual._replace(**changes)


def fresh() -> dict[str, Any]:
    """The memory before the first step."""
    return {"m": None, "v": None, "mean": 0.0, "max": 0.0, "w": 0.0, "last": 0.0}


def directions(
    s: Structure,
    h: dict[str, Any],
    conditions: Conditions,
    memory: dict[str, Any] | None = None,
    *,
    rate_inside: bool = False,
) -> tuple[Array, dict[str, Any]]:
    """The steps without the factor α and without decoupled decay, and the new memory.

    Args:
      s: the equation.
      h: its hyperparameters by letter: numbers, or (K, 1) arrays for K choices side by side.
      conditions: the gradients and the rest.
      memory: the memory of earlier steps (default: no earlier steps).
      rate_inside: whether the learning rate is inside the velocity.

    Returns:
      (T, n), or (T, K, n).
    """
    memory = fresh() if memory is None else dict(memory)
    taken = []
    with np.errstate(all="ignore"):
        for k, g in enumerate(conditions.gradients):
            x = -g if s.maximize else g
            if s.clip == "value":
                x = np.clip(x, -h["clip"], h["clip"])
            elif s.clip == "norm":
                x = x * np.minimum(1.0, h["clip"] / np.maximum(conditions.norms[k], 1e-300))
            if s.decay == "coupled":
                x = x + h["λ"] * conditions.params[k]
            t = conditions.counts[k] + s.first_count - 1
            rate = conditions.rates[k] / (1 + h["η"] * (t - 1) if s.fading else 1.0)
            before, after = (rate, 1.0) if rate_inside else (1.0, rate)
            direction = _normalised if s.second else _signed if s.sign else _linear
            d = after * direction(s, h, x, t, before, memory)
            if s.late:
                d, memory["last"] = memory["last"] + np.zeros_like(d), d
            taken.append(d)
    return np.stack(np.broadcast_arrays(*taken)), memory


def _linear(s: Structure, h: dict[str, Any], x: Array, t: Any, rate: Any, memory: Any) -> Array:
    """SGD with its kinds of momentum."""
    push = rate * x
    if not s.first:
        return push
    begins = memory["m"] is None
    m = 0.0 if begins else memory["m"]
    share = {"sum": 1.0, "average": 1 - h["β1"]}.get(s.first)
    if share is None:  # dampened, but not at the first step
        share = 1.0 if begins else 1 - h["τ"]
    memory["m"] = m = h["β1"] * m + share * push
    ahead = share * push + h["β1"] * m if s.nesterov else m
    return ahead / (1 - h["β1"] ** t if "m" in s.corrects else 1.0)


def _signed(s: Structure, h: dict[str, Any], x: Array, t: Any, rate: Any, memory: Any) -> Array:
    """Lion, or the sign of the gradient."""
    if not s.first:
        return np.sign(x) * rate
    m = 0.0 if memory["m"] is None else memory["m"]
    memory["m"] = h["β2"] * m + (1 - h["β2"]) * x
    return np.sign(h["β1"] * m + (1 - h["β1"]) * x) * rate


def _normalised(s: Structure, h: dict[str, Any], x: Array, t: Any, rate: Any, memory: Any) -> Array:
    """AdaGrad, RMSProp, Adam and their relatives."""
    d = rate * _numerator(s, h, x, t, memory) / _denominator(s, h, x, t, memory)
    d = np.where(np.isfinite(d), d, 0.0)  # 0 / 0 without any gradient so far
    if not s.momentum:
        return d
    memory["w"] = h["μ"] * memory["w"] + d
    return d + h["μ"] * memory["w"] if s.momentum == "nesterov" else memory["w"]


def _numerator(s: Structure, h: dict[str, Any], x: Array, t: Any, memory: Any) -> Array:
    if not s.first:
        return x
    b, corrected = h["β1"], "m" in s.corrects
    memory["m"] = m = b * (0.0 if memory["m"] is None else memory["m"]) + (1 - b) * x
    now, then = (1 - b**t, 1 - b ** (t + 1)) if corrected else (1.0, 1.0)
    return b * m / then + (1 - b) * x / now if s.nesterov else m / now


def _denominator(s: Structure, h: dict[str, Any], x: Array, t: Any, memory: Any) -> Array:
    v = h.get("v0", 0.0) if memory["v"] is None else memory["v"]
    b, ε = h.get("β2", 0.0), h.get("ε", 0.0)
    if s.second == "infinity":
        memory["v"] = v = np.maximum(b * v, np.abs(x) + (ε if s.eps == "inside" else 0.0))
        return np.maximum(v, ε) if s.eps == "floor" else v + (ε if s.eps == "outside" else 0.0)
    memory["v"] = v = v + x * x if s.second == "sum" else b * v + (1 - b) * x * x
    c = 1 - b**t if "v" in s.corrects else 1.0
    if s.second == "max":
        memory["max"] = v = np.maximum(memory["max"], v)
    hat = v / c
    if s.second == "max of corrected":
        memory["max"] = hat = np.maximum(memory["max"], hat)
    if s.second == "centred":
        memory["mean"] = b * memory["mean"] + (1 - b) * x
        hat = np.maximum(hat - (memory["mean"] / c) ** 2, 0.0)
    if s.eps == "hat":
        return (np.sqrt(v) + ε) / np.sqrt(c)
    if s.eps == "inside":
        return np.sqrt(hat + ε)
    if s.eps == "floor":
        return np.maximum(np.sqrt(hat), ε)
    return np.sqrt(hat + h.get("ε_root", 0.0)) + ε
