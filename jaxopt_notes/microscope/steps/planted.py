"""Faults that users met, planted in plain optimizers: what `identify` must name.

The optimizers here are written for themselves, in NumPy: they share no code with the family that
`identify` fits. Each fault changes one thing.
"""

import pickle
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from jaxopt_notes.microscope.steps.steppers import Arrays, Gradients


class Fault(NamedTuple):
    """One planted fault.

    Attributes:
      name: what is wrong.
      optimizer: "adam", "sgd", "rmsprop" or "adagrad".
      options: of the optimizer below.
      claim: the convention that it should follow.
      words: what the identification must say: each stands in one of its sentences.
      numbers: hyperparameters that it must find.
    """

    name: str
    optimizer: str
    options: dict[str, Any]
    claim: str
    words: tuple[str, ...]
    numbers: dict[str, float] = {}  # noqa: RUF012  a default that nobody changes

    def build(self) -> "PlainOptimizer":
        """The faulty optimizer."""
        return _OPTIMIZERS[self.optimizer](**self.options)


class PlainOptimizer:
    """Steps one array at a time; its options plant faults that any optimizer may have."""

    slots: tuple[str, ...] = ()

    def __init__(self, lr: float = 0.01, **options: Any) -> None:
        self.lr, self.options = lr, options

    def on(self, option: str) -> Any:
        """The option, or None."""
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
        """What a slot starts from."""
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
        """The step, with the learning rate in it."""
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


_OPTIMIZERS = {"adam": _Adam, "sgd": _Sgd, "rmsprop": _RmsProp, "adagrad": _AdaGrad}
_HALF = float(np.float16(0.999))
_BRAIN = float(ml_dtypes.bfloat16(0.99))
_BRAIN_1 = float(ml_dtypes.bfloat16(0.9))
_W = {"decay": 0.1}
_MU = {"momentum": 0.9}

SOUND = (
    Fault("Adam", "adam", {}, "optax.adam", (), {"b1": 0.9, "b2": 0.999, "eps": 1e-8}),
    Fault("AdamW", "adam", _W, "optax.adamw", (), {"weight_decay": 0.1}),
    Fault("SGD with momentum", "sgd", _MU, "torch.sgd", (), {"momentum": 0.9}),
    Fault("RMSProp", "rmsprop", _MU, "torch.rmsprop", (), {"decay": 0.99}),
    Fault("AdaGrad", "adagrad", {}, "torch.adagrad", (), {"eps": 1e-8}),
)
FAULTS = (
    Fault("counter stops", "adam", {"count_stops": 256}, "optax.adam", ("counter stops at 256",)),
    Fault(
        "counter starts again",
        "adam",
        {"count_again": 127},
        "optax.adam",
        ("starts again after 127",),
    ),
    Fault(
        "first step counted as 2",
        "adam",
        {"counts_from_2": True},
        "optax.adam",
        ("first step counts as 2",),
    ),
    Fault(
        "count raised once per array",
        "adam",
        {"count_per_array": True},
        "optax.adam",
        ("rises once per array",),
    ),
    Fault(
        "β2 rounded to float16", "adam", {"b2": _HALF}, "optax.adam", ("0.999 rounded to float16",)
    ),
    Fault(
        "β2 rounded to bfloat16",
        "adam",
        {"b2": _BRAIN},
        "optax.adam",
        ("0.99 rounded to bfloat16",),
    ),
    Fault(
        "β1 rounded to bfloat16",
        "adam",
        {"b1": _BRAIN_1},
        "optax.adam",
        ("0.9 rounded to bfloat16",),
    ),
    Fault(
        "no correction of m",
        "adam",
        {"no_correction_m": True},
        "optax.adam",
        ("no bias correction of the first",),
    ),
    Fault(
        "no correction of v",
        "adam",
        {"no_correction_v": True},
        "optax.adam",
        ("no bias correction of the second",),
    ),
    Fault(
        "no correction",
        "adam",
        {"no_correction_m": True, "no_correction_v": True},
        "optax.adam",
        ("no bias correction of the first", "no bias correction of the second"),
    ),
    Fault(
        "state dropped",
        "adam",
        {"dropped": ("m", "v"), "count_dropped": True},
        "optax.adam",
        ("all state is dropped by save and load",),
    ),
    Fault(
        "count reset",
        "adam",
        {"count_dropped": True},
        "optax.adam",
        ("counter starts again after save",),
    ),
    Fault(
        "moments dropped",
        "adam",
        {"dropped": ("m", "v")},
        "optax.adam",
        ("moments are dropped by save",),
    ),
    Fault(
        "m dropped", "adam", {"dropped": ("m",)}, "optax.adam", ("first moment is dropped by save",)
    ),
    Fault(
        "v dropped",
        "adam",
        {"dropped": ("v",)},
        "optax.adam",
        ("second moment is dropped by save",),
    ),
    Fault(
        "m and v exchanged",
        "adam",
        {"exchanged": True},
        "optax.adam",
        ("exchange the first and the second",),
    ),
    Fault("velocity dropped", "sgd", {**_MU, "dropped": ("m",)}, "torch.sgd", ("dropped by save",)),
    Fault(
        "decay's sign",
        "adam",
        {**_W, "decay_sign": True},
        "optax.adamw",
        ("wrong sign",),
        {"weight_decay": -0.1},
    ),
    Fault(
        "coupled for decoupled",
        "adam",
        {**_W, "coupled": True},
        "torch.adamw",
        ("decay is coupled",),
    ),
    Fault("decoupled for coupled", "adam", _W, "torch.adam", ("decay is decoupled",)),
    Fault(
        "decay without the rate",
        "adam",
        {**_W, "decay_alone": True},
        "optax.adamw",
        ("not multiplied by the learning rate",),
    ),
    Fault(
        "decay after the step",
        "adam",
        {**_W, "decay_after": True},
        "torch.adamw",
        ("after the step",),
        {"weight_decay": 0.1},
    ),
    Fault("ε inside", "adam", {"eps": "inside"}, "torch.adam", ("ε stands inside",)),
    Fault(
        "ε before the correction",
        "adam",
        {"eps": "before"},
        "optax.adam",
        ("before the bias correction",),
    ),
    Fault("ε missing", "adam", {"eps": "missing"}, "optax.adam", ("no ε",)),
    Fault(
        "RMSProp's ε inside", "rmsprop", {"eps": "inside"}, "torch.rmsprop", ("ε stands inside",)
    ),
    Fault("maximum before", "adam", {"amsgrad": "before"}, "optax.amsgrad", ("taken before",)),
    Fault("maximum after", "adam", {"amsgrad": "after"}, "torch.adam", ("taken after",)),
    Fault("first step dampened", "sgd", {**_MU, "dampening": 0.5}, "torch.sgd", ("0.5 times",)),
    Fault(
        "average starts undampened",
        "sgd",
        {**_MU, "dampening": 0.9, "undamped_start": True},
        "notes.momentum",
        ("not at the first step",),
        {"dampening": 0.9},
    ),
    Fault(
        "velocity scaled by 1 − β",
        "sgd",
        {**_MU, "dampening": 0.9},
        "torch.sgd",
        ("scaled by 1 − β1",),
    ),
    Fault(
        "Nesterov looks back",
        "sgd",
        {**_MU, "nesterov": "late"},
        "torch.sgd",
        ("SGD with momentum",),
    ),
    Fault(
        "Nesterov a step late",
        "sgd",
        {**_MU, "nesterov": True, "step_late": True},
        "torch.sgd",
        ("the step before",),
    ),
    Fault(
        "rate inside for outside",
        "sgd",
        {**_MU, "rate_inside": True},
        "torch.sgd",
        ("rate is inside",),
    ),
    Fault(
        "rate outside for inside",
        "rmsprop",
        {**_MU, "eps": "inside"},
        "keras.rmsprop",
        ("rate is outside",),
    ),
    Fault("rate one step late", "adam", {"rate_late": True}, "optax.adam", ("one step late",)),
    Fault("rate ignored", "adam", {"rate_ignored": True}, "optax.adam", ("changes nothing",)),
    Fault(
        "sum starts from 0.1",
        "adagrad",
        {"starts_from": 0.1},
        "notes.adagrad",
        ("starts from another value",),
        {"initial_accumulator_value": 0.1},
    ),
    Fault(
        "average starts from 1",
        "rmsprop",
        {"starts_from": 1.0},
        "torch.rmsprop",
        ("starts from another value",),
        {"initial_scale": 1.0},
    ),
    Fault("climbs", "adam", {"climbs": True}, "optax.adam", ("climbs",)),
    Fault(
        "norm clipped per array",
        "sgd",
        {"clip_each": 1.0},
        "torch.sgd",
        ("norm of each array",),
        {"max_norm": 1.0},
    ),
)
