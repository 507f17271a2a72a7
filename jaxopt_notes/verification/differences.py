"""The known traps: where the frameworks differ, their formulas, and our equivalent calls.

A cell's formula is written from its terms. From these terms the tests run the NumPy equation, the
framework's own optimizer and our equivalent call; the three must take the same path.

    python -m jaxopt_notes.verification.differences > docs/optimizers-by-framework.md
"""

import inspect
from collections.abc import Callable
from typing import NamedTuple

from jaxopt_notes.verification import around_optimizers, formulas
from jaxopt_notes.verification.formulas import Terms
from jaxopt_notes.verification.frameworks import FRAMEWORKS, terms
from jaxopt_notes.verification.settings import Setting, named


class Cell(NamedTuple):
    """What one framework does.

    Attributes:
      setting: its optimizer, with the relevant keywords.
      here: our call with an equal trajectory; α is a learning rate or a schedule.
    """

    setting: Setting
    here: str

    @property
    def terms(self) -> Terms:
        """Every term of the equation."""
        parameters = inspect.signature(FRAMEWORKS[self.setting.name][0]).parameters.items()
        defaults = {n: p.default for n, p in parameters if p.kind is p.KEYWORD_ONLY}
        return defaults | terms(self.setting.name, self.setting.keywords)

    @property
    def call(self) -> str:
        """The call in the framework."""
        setting = self.setting
        keywords = ", ".join(f"{k}={v}" for k, v in setting.keywords.items())
        return f"{_CALLED[setting.framework].get(setting.optimizer, setting.optimizer)}({keywords})"


class Trap(NamedTuple):
    """One difference behind a common name."""

    title: str
    says: str
    formula: Callable[[Terms], str]
    cells: list[Cell]


_CLASSES = {"sgd": "SGD", "rmsprop": "RMSprop", "adam": "Adam", "adamw": "AdamW"}
_CALLED: dict[str, dict[str, str]] = {
    "notes": {},
    "optax": {},
    "torch": _CLASSES | {"adagrad": "Adagrad"},
    "keras": _CLASSES | {"adagrad": "Adagrad"},
    "tensorflow1": {
        "momentum": "MomentumOptimizer",
        "adagrad": "AdagradOptimizer",
        "rmsprop": "RMSPropOptimizer",
        "adam": "AdamOptimizer",
        "adamw": "AdamWOptimizer",
    },
}
_NAMES = {
    "notes": "notes, papers",
    "optax": "optax",
    "torch": "torch",
    "keras": "Keras 3",
    "tensorflow1": "TensorFlow 1",
}


def _cells(*rows: tuple[str, Terms, str]) -> list[Cell]:
    """Cells from (framework.optimizer, keywords, our equivalent call)."""
    return [Cell(named(name, keywords), here) for name, keywords, here in rows]


_M = {"momentum": 0.9}
_N = {"momentum": 0.9, "nesterov": True}
_W = {"weight_decay": 0.1}

TRAPS = [
    Trap(
        "ε and the first average in RMSProp",
        "ε decides the step where gradients are small: 1e-6 inside the root acts like 1e-3 "
        "outside. If E starts at 1, the first steps are short. If E starts at 0, the first step"
        " is α / √(1 − β) long, whatever g is.",
        formulas.rmsprop_eps,
        _cells(
            ("notes.rmsprop", {"epsilon": 1e-6}, "rmsprop(α, eps=1e-6)"),
            ("optax.rmsprop", {"eps": 1e-6}, "rmsprop(α, eps=1e-6)"),
            (
                "torch.rmsprop",
                {"alpha": 0.9, "eps": 1e-6},
                "rmsprop(α, eps=1e-6, eps_in_sqrt=False)",
            ),
            ("keras.rmsprop", {"epsilon": 1e-6}, "rmsprop(α, eps=1e-6)"),
            (
                "tensorflow1.rmsprop",
                {"epsilon": 1e-6},
                "rmsprop(α, eps=1e-6, initial_scale=1.0)",
            ),
        ),
    ),
    Trap(
        "ε and the first accumulator in AdaGrad",
        "With default arguments, only optax and Keras agree. No keyword of optax puts ε outside"
        " the root; here `eps_in_sqrt=False` does.",
        formulas.adagrad_eps,
        _cells(
            ("notes.adagrad", {}, "adagrad(α, 0.0, eps=1e-8, eps_in_sqrt=False)"),
            ("optax.adagrad", {}, "adagrad(α)"),
            ("torch.adagrad", {}, "adagrad(α, 0.0, eps=1e-10, eps_in_sqrt=False)"),
            ("keras.adagrad", {}, "adagrad(α)"),
            ("tensorflow1.adagrad", {}, "adagrad(α, eps=0.0)"),
        ),
    ),
    Trap(
        "ε in Adam",
        "Keras and TensorFlow 1 add ε (their ε̂) before the bias of the root is corrected. So "
        "at first ε̂ counts 32 times as much (at β2 = 0.999).",
        formulas.adam_eps,
        _cells(
            ("notes.adam", {"epsilon": 1e-6}, "adam(α, eps=1e-6)"),
            ("optax.adam", {"eps": 1e-6}, "adam(α, eps=1e-6)"),
            ("torch.adam", {"eps": 1e-6}, "adam(α, eps=1e-6)"),
            ("keras.adam", {"epsilon": 1e-6}, "conventions.keras.adam(α, epsilon=1e-6)"),
            (
                "tensorflow1.adam",
                {"epsilon": 1e-6},
                "conventions.tensorflow1.adam(α, epsilon=1e-6)",
            ),
        ),
    ),
    Trap(
        "Momentum: average or sum, bias correction, learning rate inside or outside",
        "The steps of the moving average are 1 − β times as long as those of the sum. optax's "
        "`ema` corrects its bias by default. If the learning rate is inside the velocity, old "
        "gradients keep the learning rate of their step.",
        formulas.velocity,
        _cells(
            ("notes.momentum", {}, "momentum(α)"),
            ("optax.ema", {"decay": 0.9}, "optax.chain(ema(0.9), scale_by_learning_rate(α))"),
            ("optax.sgd", _M, "sgd(α, momentum=0.9)"),
            ("torch.sgd", _M, "sgd(α, momentum=0.9)"),
            ("keras.sgd", _M, "optax.chain(scale_by_learning_rate(α), trace(0.9))"),
            ("tensorflow1.momentum", _M, "sgd(α, momentum=0.9)"),
        ),
    ),
    Trap(
        "Dampening",
        "torch's dampening factor 1 − τ looks like the moving average's 1 − β, but torch does "
        "not dampen the first step. The other frameworks have no dampening.",
        formulas.velocity,
        _cells(
            ("notes.momentum", {}, "momentum(α)"),
            ("optax.sgd", _M, "sgd(α, momentum=0.9)"),
            (
                "torch.sgd",
                {"momentum": 0.9, "dampening": 0.9},
                "conventions.torch.sgd(α, 0.9, dampening=0.9)",
            ),
            ("keras.sgd", _M, "conventions.keras.sgd(α, 0.9)"),
            ("tensorflow1.momentum", _M, "sgd(α, momentum=0.9)"),
        ),
    ),
    Trap(
        "Nesterov",
        "All frameworks have the same formula, except for the place of the learning rate. Adam "
        "with Nesterov momentum is `adam(α, nesterov=True)` here and `nadam` in optax. The "
        "notes have no Nesterov momentum.",
        formulas.velocity,
        _cells(
            ("optax.sgd", _N, "sgd(α, 0.9, nesterov=True)"),
            ("torch.sgd", _N, "sgd(α, 0.9, nesterov=True)"),
            ("keras.sgd", _N, "conventions.keras.sgd(α, 0.9, nesterov=True)"),
            (
                "tensorflow1.momentum",
                {"momentum": 0.9, "use_nesterov": True},
                "sgd(α, 0.9, nesterov=True)",
            ),
        ),
    ),
    Trap(
        "Momentum in RMSProp: learning rate inside or outside",
        "The paths are the same while the learning rate is constant; under a schedule, torch's "
        "path differs. The notes' RMSProp has no momentum.",
        formulas.rmsprop_velocity,
        _cells(
            ("optax.rmsprop", {**_M, "eps": 1e-7}, "rmsprop(α, eps=1e-7, momentum=0.9)"),
            (
                "torch.rmsprop",
                {**_M, "alpha": 0.9, "eps": 1e-7},
                "conventions.torch.rmsprop(α, 0.9, 1e-7, momentum=0.9)",
            ),
            ("keras.rmsprop", _M, "rmsprop(α, eps=1e-7, momentum=0.9)"),
            (
                "tensorflow1.rmsprop",
                {**_M, "epsilon": 1e-7},
                "rmsprop(α, eps=1e-7, initial_scale=1.0, momentum=0.9)",
            ),
        ),
    ),
    Trap(
        "Weight decay: coupled or decoupled, times the learning rate or not",
        "Coupled decay goes through the moments; AdamW's decay does not. The default λ is 1e-4 "
        "in optax, 1e-2 in torch and 4e-3 in Keras. The notes and TensorFlow 1 have no default.",
        formulas.decay,
        _cells(
            ("notes.adamw", _W, "adamw(α, weight_decay=0.1)"),
            ("optax.adamw", _W, "adamw(α, weight_decay=0.1)"),
            ("torch.adam", _W, "optax.chain(add_decayed_weights(0.1), adam(α))"),
            ("torch.adamw", _W, "adamw(α, weight_decay=0.1)"),
            ("keras.adam", _W, "conventions.keras.adam(α, weight_decay=0.1)"),
            ("keras.adamw", _W, "conventions.keras.adamw(α, weight_decay=0.1)"),
            ("tensorflow1.adamw", _W, "conventions.tensorflow1.adamw(0.1, α)"),
        ),
    ),
    Trap(
        "AMSGrad: maximum or bias correction first",
        "The first v̂ are large. optax takes the maximum of v̂, so the first v̂ keep optax's later "
        "steps short. The notes and TensorFlow 1 have no AMSGrad.",
        formulas.amsgrad,
        _cells(
            ("optax.amsgrad", {}, "optax.amsgrad(α)"),
            ("torch.adam", {"amsgrad": True}, "conventions.torch.adam(α, amsgrad=True)"),
            ("keras.adam", {"amsgrad": True}, "conventions.keras.adam(α, amsgrad=True)"),
        ),
    ),
]


# Our calls, and whether each survives a gradient of exactly zero in float16.
HALF_PRECISION = {
    "rmsprop(α)": False,
    "rmsprop(α, eps=1e-4)": True,
    "adam(α)": False,
    "adam(α, mu_dtype='float32')": False,
    "adam(α, eps=1e-4)": True,
    "adam(α, eps_root=1e-6)": True,
    "nadam(α)": False,
    "nadam(α, eps=1e-4)": True,
    "adamw(α)": False,
    "adamw(α, eps=1e-4)": True,
    "amsgrad(α)": False,
    "amsgrad(α, eps=1e-4)": True,
    "adam_to_sgd(α, 100, 0.1, carry='momentum')": False,
    "adam_to_sgd(α, 100, 0.1, carry='momentum', eps=1e-4)": True,
}


def markdown() -> str:
    """The text of docs/optimizers-by-framework.md."""
    lines = [
        "# Same name, different formulas",
        "",
        "This page lists the differences between optax, torch, Keras 3, TensorFlow 1 and the "
        "papers, and the call that follows each of them here. α is a learning rate or a "
        "schedule, g is the gradient, and θ are the parameters.",
        "",
        "The tests run every line of the tables. In float64, under a learning rate that changes"
        " at each step, three things take the same path: the formula in NumPy, the framework's "
        "own optimizer where it is installed, and the call to write here. TensorFlow 1's AdamW "
        "is compared only with its documentation. Two lines of a table have the same formula "
        "only if their paths are equal. `conventions` has every framework's functions with "
        "their own names and defaults; `translate` makes them from a torch or Keras optimizer.",
        "",
        "Written by `python -m jaxopt_notes.verification.differences`.",
    ]
    for trap in TRAPS:
        lines += ["", f"## {trap.title}", "", trap.says, ""]
        lines += ["| framework | its call | formula | here |", "| --- | --- | --- | --- |"]
        lines += [
            f"| {_NAMES[c.setting.framework]} | `{c.call}` | {trap.formula(c.terms)} | `{c.here}` |"
            for c in trap.cells
        ]
    lines += around_optimizers.markdown()
    lines += [
        "",
        "## float16: ε rounds to zero",
        "",
        "With float16 parameters, optax and this package compute in float16, where 1e-8 is 0. A "
        "gradient that is exactly zero then gives 0 / 0, and the parameter is NaN from then on. "
        "Set ε to 1e-4 or more, set ε_root, or keep the parameters in float32 and cast only for "
        "the forward pass: a moment in float32 is not enough. In float32 and bfloat16 all of "
        "these calls are finite.",
        "",
        "| call | first step in float16 where g = 0 |",
        "| --- | --- |",
        *(f"| `{call}` | {'0' if ok else 'NaN'} |" for call, ok in HALF_PRECISION.items()),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(markdown(), end="")
