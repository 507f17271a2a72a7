"""Every optimizer in every keyword setting, with its oracles."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import optax

from jaxopt_notes import conventions, optimizers
from jaxopt_notes.config.optimizers import OPTIMIZERS
from jaxopt_notes.verification import oracle_tensorflow, problem

RATE = 0.01


class Setting(NamedTuple):
    """One optimizer of one framework with some keywords.

    Attributes:
      framework: "optax" for `jaxopt_notes.adam` and the like, else the module of `conventions`.
      optimizer: the function's name.
      keywords: its keywords, except the learning rate.
      scheduled: whether the learning rate changes at every step.
    """

    framework: str
    optimizer: str
    keywords: dict[str, Any]
    scheduled: bool

    @property
    def name(self) -> str:
        """framework.optimizer."""
        return f"{self.framework}.{self.optimizer}"

    @property
    def label(self) -> str:
        """The call as code; α is the learning rate, α(k) a schedule."""
        home = "" if self.framework == "optax" else f"{self.framework}."
        keywords = "".join(f", {k}={v}" for k, v in self.keywords.items())
        return f"{home}{self.optimizer}({'α(k)' if self.scheduled else 'α'}{keywords})"

    @property
    def oracles(self) -> tuple[str, ...]:
        """The oracles that have this setting."""
        source = self.framework if self.framework in ("optax", "torch", "keras") else ""
        if self.framework == "tensorflow1" and self.optimizer in oracle_tensorflow.CLASSES:
            source = "tensorflow"
        if self.name == "optax.adagrad" and not self.keywords.get("eps_in_sqrt", True):
            source = ""  # optax has no such keyword
        return (source, "equation") if source else ("equation",)

    def rate(self, steps: int) -> Any:
        """The learning rate, or the array of learning rates."""
        return problem.rates(steps) if self.scheduled else RATE

    def build(self, steps: int, rate: Any = None) -> optax.GradientTransformation:
        """Our optimizer, at the given learning rate or else at the setting's."""
        home: Any = (
            optimizers if self.framework == "optax" else getattr(conventions, self.framework)
        )
        return self._call(getattr(home, self.optimizer), steps, rate)

    def build_optax(self, steps: int, rate: Any = None) -> optax.GradientTransformation:
        """optax's."""
        function = _debiased_average if self.optimizer == "ema" else optax_function(self.optimizer)
        return self._call(function, steps, rate)

    def _call(
        self, function: Callable[..., Any], steps: int, rate: Any
    ) -> optax.GradientTransformation:
        if rate is None:
            rate = problem.schedule(steps) if self.scheduled else RATE
        called = "learning_rate"
        if self.framework == "notes":
            called = "eta" if self.optimizer == "rmsprop" else "alpha"
        elif self.framework == "torch":
            called = "lr"
        chosen: optax.GradientTransformation = function(**{called: rate}, **self.keywords)
        return chosen


def optax_function(name: str) -> Callable[..., optax.GradientTransformation]:
    """optax's function of that name, or its composition from optax's parts."""
    function: Callable[..., optax.GradientTransformation]
    function = _moving_average if name == "momentum" else getattr(optax, name)
    return function


def _moving_average(
    learning_rate: Any, beta: Any = 0.9, accumulator_dtype: Any = None
) -> optax.GradientTransformation:
    return optax.chain(
        optax.ema(beta, debias=False, accumulator_dtype=accumulator_dtype),
        optax.scale_by_learning_rate(learning_rate),
    )


def _debiased_average(learning_rate: Any, decay: float) -> optax.GradientTransformation:
    return optax.chain(optax.ema(decay), optax.scale_by_learning_rate(learning_rate))


# framework.optimizer → its settings; the first is also run at a constant learning rate
_KEYWORDS: dict[str, Sequence[dict[str, Any]]] = {
    **{f"optax.{name}": row.proved for name, row in OPTIMIZERS.items() if row.proved},
    "notes.sgd": [{}],
    "notes.momentum": [{}, {"beta": 0.8}],
    "notes.adagrad": [{}, {"epsilon": 1e-3}],
    "notes.rmsprop": [{}, {"beta": 0.99, "epsilon": 1e-3}],
    "notes.adam": [{}, {"beta1": 0.8, "beta2": 0.99, "epsilon": 1e-3}],
    "notes.adamw": [
        {"weight_decay": 0.1},
        {"beta1": 0.8, "beta2": 0.99, "epsilon": 1e-3, "weight_decay": 0.01},
    ],
    "torch.sgd": [
        {},
        {"momentum": 0.9},
        {"momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1},
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1, "maximize": True},
    ],
    "torch.adagrad": [
        {},
        {"lr_decay": 0.1, "initial_accumulator_value": 0.2, "eps": 1e-3},
        {"weight_decay": 0.1, "maximize": True},
    ],
    "torch.rmsprop": [
        {},
        {"alpha": 0.9, "eps": 1e-3, "momentum": 0.9, "centered": True, "weight_decay": 0.1},
        {"momentum": 0.9, "maximize": True, "weight_decay": 0.1},
    ],
    "torch.adam": [
        {},
        {"betas": (0.8, 0.99), "eps": 1e-3, "weight_decay": 0.1, "maximize": True},
        {"amsgrad": True},
    ],
    "torch.adamw": [
        {},
        {"betas": (0.8, 0.99), "eps": 1e-3, "weight_decay": 0.1, "maximize": True},
        {"amsgrad": True, "weight_decay": 0.1},
    ],
    "keras.sgd": [
        {},
        {"momentum": 0.9, "weight_decay": 0.1},
        {"momentum": 0.9, "nesterov": True},
    ],
    "keras.adagrad": [
        {},
        {"initial_accumulator_value": 0.0, "epsilon": 1e-3, "weight_decay": 0.1},
    ],
    "keras.rmsprop": [
        {},
        {"rho": 0.99, "momentum": 0.9, "epsilon": 1e-3, "centered": True, "weight_decay": 0.1},
    ],
    "keras.adam": [
        {},
        {"beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-3, "amsgrad": True, "weight_decay": 0.1},
    ],
    "keras.adamw": [
        {},
        {"beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-3, "amsgrad": True, "weight_decay": 0.1},
    ],
    "tensorflow1.gradient_descent": [{}],
    "tensorflow1.momentum": [{"momentum": 0.9}, {"momentum": 0.9, "use_nesterov": True}],
    "tensorflow1.adagrad": [{}, {"initial_accumulator_value": 0.5}],
    "tensorflow1.rmsprop": [
        {},
        {"decay": 0.8, "momentum": 0.9, "epsilon": 1e-3, "centered": True},
    ],
    "tensorflow1.adam": [{}, {"beta1": 0.8, "beta2": 0.99, "epsilon": 1e-3}],
    "tensorflow1.adamw": [
        {"weight_decay": 1e-3},
        {"weight_decay": 0.01, "beta1": 0.8, "beta2": 0.99, "epsilon": 1e-3},
    ],
}


def named(name: str, keywords: dict[str, Any], *, scheduled: bool = True) -> Setting:
    """The setting of `framework.optimizer`."""
    framework, optimizer = name.split(".")
    return Setting(framework, optimizer, keywords, scheduled)


def kind(setting: Setting) -> str:
    """The optimizer by our name for it."""
    if setting.optimizer == "gradient_descent":
        return "sgd"
    # TensorFlow 1's momentum is the heavy ball, our `sgd(momentum=)`.
    return "sgd" if setting.name == "tensorflow1.momentum" else setting.optimizer


def settings() -> list[Setting]:
    """All settings, at a changing learning rate; the defaults at a constant one too."""
    table = []
    for name, choices in _KEYWORDS.items():
        table.append(named(name, choices[0], scheduled=False))
        table += [named(name, keywords) for keywords in choices]
    return table
