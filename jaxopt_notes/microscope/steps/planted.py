"""Plain optimizers with planted faults.

They are independent NumPy code and share nothing with the family that `identify` fits. Each option
changes one thing.
"""

import pickle
from typing import Any

import numpy as np

from jaxopt_notes.microscope.steps.steppers import Arrays, Gradients


class PlainOptimizer:
    """Steps one array at a time; the options plant faults that any optimizer may have."""

    slots: tuple[str, ...] = ()

    def __init__(self, lr: float = 0.01, **options: Any) -> None:
        self.lr, self.options = lr, options

    def on(self, option: str) -> Any:
        """The option's value, or None."""
        return self.options.get(option)

    def start(self, params: Arrays) -> None:
        self.params = {name: p.copy() for name, p in params.items()}
        self.rate = self.next_rate = self.lr
        self.count = 0
        self.state = {
            n: {s: self.initial(s) + 0 * p for s in self.slots} for n, p in params.items()
        }
        self.pending = {name: np.zeros_like(p) for name, p in params.items()}
        self.begun = dict.fromkeys(params, False)

    def initial(self, slot: str) -> float:
        """The initial value of a slot."""
        return float(self.on("starts_from") or 0.0) if slot == "v" else 0.0

    def set_learning_rate(self, value: float) -> None:
        if self.on("rate_ignored"):
            return
        self.next_rate = value
        if not self.on("rate_late"):
            self.rate = value

    def step(self, grads: Gradients) -> Arrays:
        if self.on("clip_each"):
            bound = self.on("clip_each")
            grads = {n: _clipped(g, bound) for n, g in grads.items() if g is not None}
        if not self.on("count_per_array"):
            self._advance()
        for name, p in self.params.items():
            g = grads.get(name)
            if g is None:
                continue
            if self.on("count_per_array"):
                self._advance()
            step = self.direction(self.state[name], -g if self.on("climbs") else g, p, name)
            self.begun[name] = True
            if self.on("step_late"):
                step, self.pending[name] = self.pending[name], step
            self.params[name] = self.moved(p, step)
        self.rate = self.next_rate
        return {name: p.copy() for name, p in self.params.items()}

    def _advance(self) -> None:
        self.count += 1
        stops, again = self.on("count_stops"), self.on("count_again")
        if stops and self.count > stops:
            self.count = stops
        if again and self.count > again:
            self.count = 1

    @property
    def t(self) -> int:
        """The step counter."""
        return self.count + (1 if self.on("counts_from_2") else 0)

    def moved(self, p: np.ndarray, step: np.ndarray) -> np.ndarray:
        """The parameters after a step."""
        return p - step

    def direction(self, s: Any, g: np.ndarray, p: np.ndarray, name: str) -> np.ndarray:
        """The step, including the learning rate."""
        raise NotImplementedError

    def save(self) -> bytes:
        state = {n: dict(s) for n, s in self.state.items()}
        for slots in state.values():
            for slot in self.on("dropped") or ():
                slots[slot] = np.zeros_like(slots[slot])
            if self.on("exchanged"):
                slots["m"], slots["v"] = slots["v"], slots["m"]
        return pickle.dumps((state, 0 if self.on("count_dropped") else self.count))

    def load(self, state: bytes) -> None:
        self.state, self.count = pickle.loads(state)
        self.begun = dict.fromkeys(self.params, True)


def _clipped(g: np.ndarray, bound: float) -> np.ndarray:
    return g * min(1.0, bound / max(float(np.linalg.norm(g)), 1e-300))


class _Adam(PlainOptimizer):
    slots = ("m", "v", "s")

    def direction(self, s: Any, g: np.ndarray, p: np.ndarray, name: str) -> np.ndarray:
        b1, b2 = self.on("b1") or 0.9, self.on("b2") or 0.999
        ε, λ, t = 1e-8, self.on("decay") or 0.0, self.t
        if self.on("coupled"):
            g, λ = g + λ * p, 0.0
        s["m"] = b1 * s["m"] + (1 - b1) * g
        s["v"] = b2 * s["v"] + (1 - b2) * g * g
        c1 = 1.0 if self.on("no_correction_m") else 1 - b1**t
        c2 = 1.0 if self.on("no_correction_v") else 1 - b2**t
        v = s["v"] / c2
        if self.on("amsgrad") == "before":
            s["s"] = np.maximum(s["s"], s["v"])
            v = s["s"] / c2
        elif self.on("amsgrad") == "after":
            v = s["s"] = np.maximum(s["s"], v)
        root = {
            None: np.sqrt(v) + ε,
            "inside": np.sqrt(v + ε),
            "before": (np.sqrt(v * c2) + ε) / np.sqrt(c2),
            "missing": np.sqrt(v),
        }[self.on("eps")]
        u = np.divide(s["m"] / c1, root, out=np.zeros_like(g), where=root > 0)
        rate = 1.0 if self.on("decay_alone") else self.rate
        shrunk = (p - self.rate * u if self.on("decay_after") else p) * λ * rate
        return self.rate * u + (-shrunk if self.on("decay_sign") else shrunk)


class _Sgd(PlainOptimizer):
    slots = ("m", "g")

    def direction(self, s: Any, g: np.ndarray, p: np.ndarray, name: str) -> np.ndarray:
        β, share = self.on("momentum") or 0.0, 1 - (self.on("dampening") or 0.0)
        inside, outside = (self.rate, 1.0) if self.on("rate_inside") else (1.0, self.rate)
        if self.on("undamped_start") and not self.begun[name]:
            share = 1.0
        before = s["m"]
        s["m"] = β * s["m"] + share * inside * g
        if self.on("nesterov") == "late":
            return outside * (inside * g + β * before)
        return outside * (inside * g + β * s["m"] if self.on("nesterov") else s["m"])


class _RmsProp(PlainOptimizer):
    slots = ("v", "w")

    def direction(self, s: Any, g: np.ndarray, p: np.ndarray, name: str) -> np.ndarray:
        ε, inside = 1e-8, self.on("rate_inside")
        s["v"] = 0.99 * s["v"] + 0.01 * g * g
        root = np.sqrt(s["v"] + ε) if self.on("eps") == "inside" else np.sqrt(s["v"]) + ε
        s["w"] = (self.on("momentum") or 0.0) * s["w"] + (self.rate if inside else 1.0) * g / root
        return s["w"] * (1.0 if inside else self.rate)


class _AdaGrad(PlainOptimizer):
    slots = ("v",)

    def direction(self, s: Any, g: np.ndarray, p: np.ndarray, name: str) -> np.ndarray:
        s["v"] = s["v"] + g * g
        return self.rate * g / (np.sqrt(s["v"]) + 1e-8)


OPTIMIZERS = {"adam": _Adam, "sgd": _Sgd, "rmsprop": _RmsProp, "adagrad": _AdaGrad}
