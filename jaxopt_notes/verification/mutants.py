"""The table of wrong formulas: the proof must detect every error in it.

A mutant is a line of our own source with an error: a function of the package, a text in its source,
and the text that replaces it while an optimizer is built and run. So the proof tests the code that
users run, and the table shows each error beside the right formula.
"""

import inspect
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import CodeType, FunctionType
from typing import Any, NamedTuple

from jaxopt_notes.verification.settings import Setting, named


class Mutant(NamedTuple):
    """One error.

    Attributes:
      setting: the optimizer with the error, and how it runs.
      error: what is wrong, in a few words.
      function: the place of the error, `module.function` below `jaxopt_notes`.
      right: the text in the function's source.
      wrong: the text that replaces it.
    """

    setting: Setting
    error: str
    function: str
    right: str
    wrong: str

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Puts the error into the code."""
        function = _find(self.function)
        right, function.__code__ = function.__code__, self.code()
        try:
            yield
        finally:
            function.__code__ = right

    def code(self) -> CodeType:
        """The function's code with the error in it.

        Raises:
          ValueError: the right text does not occur exactly once in the source.
        """
        function = _find(self.function)
        source = textwrap.dedent(inspect.getsource(function))
        if source.count(self.right) != 1:
            raise ValueError(
                f"{self.function}: {self.right!r} is in it {source.count(self.right)} times"
            )
        namespace: dict[str, Any] = {}
        exec(source.replace(self.right, self.wrong), dict(function.__globals__), namespace)
        code: CodeType = namespace[function.__name__].__code__
        return code


def _find(name: str) -> FunctionType:
    module, _, path = name.partition(":")
    home: Any = import_module(f"jaxopt_notes.{module}")
    for part in path.split("."):
        home = getattr(home, part)
    function: FunctionType = home
    return function


class _Error(NamedTuple):
    """A row of the table: the error, the keywords that show it, and its place."""

    error: str
    keywords: dict[str, Any]
    function: str
    right: str
    wrong: str


_DEFAULTS: dict[str, Any] = {}
_MOMENTUM = {"momentum": 0.9}
_NESTEROV = {"momentum": 0.9, "nesterov": True}
_EPS = {"eps": 1e-3}
_EPS_ROOT = {"eps_root": 1e-4}
_DECAY = {"weight_decay": 0.1}

_NO_CORRECTION = (
    "optimizers.engine:Debias.correction",
    "return correction(self.decay, increment(t) if self.ahead else t)",
    "return jnp.ones(())",
)
_ROOT = "jnp.sqrt(v_hat + eps_root) + eps"
_ADAM_RULE = "optimizers._adam:adam_rule"
_EPS_INSIDE = (_ADAM_RULE, _ROOT, "jnp.sqrt(v_hat + eps_root + eps)")
_AVERAGE_FROM_0 = ("optimizers._rmsprop:scale_by_rms", "Slot(initial_scale)", "Slot()")
_LINK_OF_DECAY = "add_decayed_weights(weight_decay, mask)"


def _swapped(first: str, second: str) -> tuple[str, str]:
    """Two links of a chain, in the right and in the swapped order."""
    return f"{first},\n        {second},", f"{second},\n        {first},"


_ERRORS: dict[str, list[_Error]] = {
    "optax.sgd": [
        _Error(
            "climbs",
            _DEFAULTS,
            "optimizers._momentum:sgd",
            "scale_by_learning_rate(learning_rate)",
            "scale_by_learning_rate(learning_rate, flip_sign=False)",
        ),
        _Error(
            "momentum ignored",
            _MOMENTUM,
            "optimizers._momentum:sgd",
            "trace(momentum, nesterov, accumulator_dtype)",
            "optax.identity()",
        ),
        _Error(
            "moving average for heavy ball",
            _MOMENTUM,
            "optimizers._momentum:heavy_ball",
            "v = g + beta * v",
            "v = (1 - beta) * g + beta * v",
        ),
        _Error(
            "push decayed",
            _MOMENTUM,
            "optimizers._momentum:heavy_ball",
            "v = g + beta * v",
            "v = beta * (g + v)",
        ),
        _Error(
            "Nesterov ignored",
            _NESTEROV,
            "optimizers._momentum:heavy_ball",
            "(g + beta * v if nesterov else v)",
            "v",
        ),
        _Error(
            "schedule a step early",
            _DEFAULTS,
            "optimizers.engine:leafwise",
            "[at_step(old.count)]",
            "[at_step(old.count + 1)]",
        ),
        _Error(
            "sign of the schedule lost",
            _DEFAULTS,
            "optimizers._learning_rate:scale_by_learning_rate",
            "sign * learning_rate(count)",
            "learning_rate(count)",
        ),
    ],
    "optax.momentum": [
        _Error(
            "heavy ball for moving average",
            _DEFAULTS,
            "optimizers._momentum:moving_average",
            "(1 - beta) * g",
            "g",
        ),
        _Error(
            "bias corrected",
            _DEFAULTS,
            "optimizers._momentum:momentum",
            "debias=False, accumulator_dtype",
            "debias=True, accumulator_dtype",
        ),
        _Error(
            "weights swapped",
            _DEFAULTS,
            "optimizers._momentum:moving_average",
            "(1 - beta) * g + beta * v",
            "beta * g + (1 - beta) * v",
        ),
    ],
    "optax.adagrad": [
        _Error(
            "ε outside the root",
            _EPS,
            "optimizers._adagrad:adagrad_rule",
            "jax.lax.rsqrt(G + eps)",
            "1 / (jnp.sqrt(G) + eps)",
        ),
        _Error(
            "ε ignored",
            _EPS,
            "optimizers._adagrad:adagrad_rule",
            "jax.lax.rsqrt(G + eps)",
            "jax.lax.rsqrt(G)",
        ),
        _Error(
            "no root",
            _DEFAULTS,
            "optimizers._adagrad:adagrad_rule",
            "jax.lax.rsqrt(G + eps)",
            "1 / (G + eps)",
        ),
        _Error(
            "sum before this gradient",
            _DEFAULTS,
            "optimizers._adagrad:adagrad_rule",
            "jax.lax.rsqrt(G + eps)",
            "jax.lax.rsqrt(G - abs_sq(g) + eps)",
        ),
        _Error(
            "accumulator from 0",
            _DEFAULTS,
            "optimizers._adagrad:scale_by_rss",
            "Slot(initial_accumulator_value)",
            "Slot(0.0)",
        ),
        _Error(
            "average for sum",
            _DEFAULTS,
            "optimizers._adagrad:adagrad_rule",
            "abs_sq(g) + G",
            "0.1 * abs_sq(g) + 0.9 * G",
        ),
        _Error(
            "0 / 0 where no gradient was",
            {"initial_accumulator_value": 0.0, "eps": 0.0},
            "optimizers._adagrad:inverse_or_zero",
            "jnp.where(x > 0, inverse, 0.0)",
            "inverse",
        ),
    ],
    "optax.rmsprop": [
        _Error(
            "ε on the other side of the root",
            _DEFAULTS,
            "optimizers._rmsprop:inverse_root",
            "if eps_in_sqrt",
            "if not eps_in_sqrt",
        ),
        _Error(
            "sum for average",
            _DEFAULTS,
            "optimizers._rmsprop:rmsprop_rule",
            "(1 - beta) * abs_sq(g) + beta * E",
            "abs_sq(g) + E",
        ),
        _Error(
            "centring ignored",
            {"centered": True, **_EPS},
            "optimizers._rmsprop:centered_rule",
            "E_hat - abs_sq(m_hat)",
            "E_hat",
        ),
        _Error(
            "mean not squared",
            {"centered": True, **_EPS},
            "optimizers._rmsprop:centered_rule",
            "E_hat - abs_sq(m_hat)",
            "E_hat - abs(m_hat)",
        ),
        _Error(
            "momentum ignored",
            _MOMENTUM,
            "optimizers._rmsprop:rmsprop",
            "trace(momentum, nesterov)",
            "optax.identity()",
        ),
        _Error(
            "moving average for heavy ball",
            _MOMENTUM,
            "optimizers._rmsprop:rmsprop",
            "trace(momentum, nesterov)",
            "optax.ema(momentum, debias=False)",
        ),
        _Error(
            "Nesterov ignored",
            _NESTEROV,
            "optimizers._rmsprop:rmsprop",
            "trace(momentum, nesterov)",
            "trace(momentum)",
        ),
        _Error(
            "learning rate outside the velocity",
            _MOMENTUM,
            "optimizers._rmsprop:rmsprop",
            *_swapped(
                "scale_by_learning_rate(learning_rate)",
                "optax.identity() if momentum is None else trace(momentum, nesterov)",
            ),
        ),
        _Error("average from 0", {"initial_scale": 0.5}, *_AVERAGE_FROM_0),
        _Error("no bias correction", {"bias_correction": True}, *_NO_CORRECTION),
    ],
    "optax.adam": [
        _Error("no bias correction", _DEFAULTS, *_NO_CORRECTION),
        _Error(
            "correction a step late",
            _DEFAULTS,
            "optimizers.engine:Debias.correction",
            "if self.ahead else t",
            "if self.ahead else increment(t)",
        ),
        _Error(
            "first step counted as the second",
            _DEFAULTS,
            "optimizers.engine:increment",
            "count + jnp.ones([], count.dtype)",
            "count + 2 * jnp.ones([], count.dtype)",
        ),
        _Error("ε inside the root", _DEFAULTS, *_EPS_INSIDE),
        _Error(
            "ε before the correction",
            _DEFAULTS,
            _ADAM_RULE,
            _ROOT,
            "jnp.sqrt(v_hat) + eps * jnp.sqrt(jnp.where(v > 0, v_hat / v, 1.0))",
        ),
        _Error("ε_root ignored", _EPS_ROOT, _ADAM_RULE, "v_hat + eps_root", "v_hat"),
        _Error(
            "ε_root outside the root",
            _EPS_ROOT,
            _ADAM_RULE,
            _ROOT,
            "jnp.sqrt(v_hat) + eps + eps_root",
        ),
        _Error("no root", _DEFAULTS, _ADAM_RULE, _ROOT, "v_hat + eps_root + eps"),
        _Error(
            "β1 and β2 swapped",
            _DEFAULTS,
            "optimizers._adam:scale_by_adam",
            "b1=b1, b2=b2",
            "b1=b2, b2=b1",
        ),
        _Error("heavy ball for moving average", _DEFAULTS, _ADAM_RULE, "(1 - b1) * g", "g"),
        _Error("variance for square", _DEFAULTS, _ADAM_RULE, "abs_sq(g)", "abs_sq(g - m)"),
        _Error("second moment from |g|", _DEFAULTS, _ADAM_RULE, "abs_sq(g)", "abs(g)"),
        _Error(
            "Nesterov ignored",
            {"nesterov": True},
            "optimizers._adam:scale_by_adam",
            "nadam_rule if nesterov else adam_rule",
            "adam_rule",
        ),
        _Error(
            "Nesterov with the gradient's bias left in",
            {"nesterov": True},
            "optimizers._adam:nadam_rule",
            "(1 - b1) * g_hat",
            "(1 - b1) * g",
        ),
    ],
    "optax.nadam": [
        _Error(
            "Nesterov ignored",
            _DEFAULTS,
            "optimizers._adam:nadam",
            "mu_dtype, nesterov=nesterov",
            "mu_dtype, nesterov=False",
        ),
    ],
    "optax.adamw": [
        _Error(
            "decay ignored",
            _DECAY,
            "optimizers._adam:adamw",
            _LINK_OF_DECAY,
            "optax.identity()",
        ),
        _Error(
            "decay grows",
            _DECAY,
            "optimizers._adam:adamw",
            _LINK_OF_DECAY,
            "add_decayed_weights(-weight_decay, mask)",
        ),
        _Error(
            "decay through the moments",
            _DECAY,
            "optimizers._adam:adamw",
            *_swapped(
                "scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov)", _LINK_OF_DECAY
            ),
        ),
        _Error(
            "decay not times the learning rate",
            _DECAY,
            "optimizers._adam:adamw",
            _swapped(_LINK_OF_DECAY, "scale_by_learning_rate(learning_rate)")[0],
            "scale_by_learning_rate(learning_rate), add_decayed_weights(-weight_decay, mask)",
        ),
        _Error("no bias correction", _DECAY, *_NO_CORRECTION),
        _Error("ε inside the root", _DECAY, *_EPS_INSIDE),
    ],
    "optax.amsgrad": [
        _Error(
            "maximum forgotten",
            _DEFAULTS,
            "optimizers._amsgrad:amsgrad_rule",
            "jnp.maximum(s, v_hat if debias[1] else v)",
            "v_hat",
        ),
        _Error(
            "maximum before the correction",
            _DEFAULTS,
            "optimizers._amsgrad:amsgrad_rule",
            "jnp.maximum(s, v_hat if debias[1] else v)",
            "jnp.maximum(s, v)",
        ),
    ],
    "optax.lion": [
        _Error(
            "no sign",
            _DEFAULTS,
            "optimizers._lion:lion_rule",
            "sign((1 - b1) * g + b1 * m)",
            "((1 - b1) * g + b1 * m)",
        ),
        _Error(
            "sign of the new average",
            _DEFAULTS,
            "optimizers._lion:lion_rule",
            "sign((1 - b1) * g + b1 * m)",
            "sign((1 - b2) * g + b2 * m)",
        ),
        _Error(
            "β1 and β2 swapped",
            _DEFAULTS,
            "optimizers._lion:scale_by_lion",
            "b1=b1, b2=b2",
            "b1=b2, b2=b1",
        ),
    ],
    "notes.adagrad": [
        _Error(
            "ε inside the root",
            _DEFAULTS,
            "optimizers._adagrad:adagrad_rule",
            "jnp.sqrt(G) + eps",
            "jnp.sqrt(G + eps)",
        ),
    ],
    "torch.sgd": [
        _Error(
            "first step dampened",
            {**_MOMENTUM, "dampening": 0.5},
            "conventions.terms:dampened",
            "jnp.where(count == 0, 1.0, 1.0 - dampening)",
            "1.0 - dampening",
        ),
        _Error(
            "maximize ignored",
            {"maximize": True},
            "conventions.terms:ascend",
            "lambda g: -g",
            "lambda g: g",
        ),
    ],
    "torch.adagrad": [
        _Error(
            "decay ignored",
            _DECAY,
            "conventions.torch:_gradient",
            "[*sign, add_decayed_weights(weight_decay)] if is_set(weight_decay) else sign",
            "sign",
        ),
    ],
    "torch.rmsprop": [
        _Error(
            "ε inside the root",
            _DEFAULTS,
            "optimizers._rmsprop:inverse_root",
            "1 / (jnp.sqrt(E) + eps)",
            "jax.lax.rsqrt(E + eps)",
        ),
    ],
    "torch.adam": [
        _Error(
            "maximum after the correction",
            {"amsgrad": True},
            "optimizers._adam_forms:amsgrad_form_rule",
            "    s = jnp.maximum(s, v)\n"
            "    m_hat, s_hat = yield Debias(m, b1, exact=exact), Debias(s, b2, exact=exact)",
            "    m_hat, v_hat = yield Debias(m, b1, exact=exact), Debias(v, b2, exact=exact)\n"
            "    s = s_hat = jnp.maximum(s, v_hat)",
        ),
        _Error(
            "maximum forgotten",
            {"amsgrad": True},
            "optimizers._adam_forms:amsgrad_form_rule",
            "s = jnp.maximum(s, v)",
            "s = v",
        ),
    ],
    "torch.adamw": [
        _Error(
            "decay not times the learning rate",
            _DECAY,
            "conventions.terms:shrunk",
            "alpha * weight_decay",
            "weight_decay",
        ),
    ],
    "keras.sgd": [
        _Error(
            "learning rate outside the velocity",
            _MOMENTUM,
            "conventions.keras:sgd",
            *_swapped(
                "scale_by_learning_rate(learning_rate)",
                "*([optimizers.trace(momentum, nesterov)] if is_set(momentum) else [])",
            ),
        ),
    ],
    "keras.adam": [
        _Error(
            "ε after the correction",
            _DEFAULTS,
            "optimizers._adam_forms:scale_by_adam_form",
            "eps / jnp.sqrt(moments.correction(b2, increment(count))) if eps_hat else eps",
            "eps",
        ),
    ],
    "keras.adamw": [
        _Error(
            "decay not times the learning rate",
            _DECAY,
            "conventions.terms:decay_beside",
            "jnp.asarray(alpha, p.dtype) * weight_decay",
            "weight_decay",
        ),
    ],
    "tensorflow1.rmsprop": [_Error("average from 0", _DEFAULTS, *_AVERAGE_FROM_0)],
    "tensorflow1.adamw": [
        _Error(
            "decay times the learning rate",
            _DECAY,
            "conventions.tensorflow1:adamw",
            "add_decayed_weights(-weight_decay)",
            "add_decayed_weights(0.01 * -weight_decay)",
        ),
    ],
}


def mutants() -> list[Mutant]:
    """All of them."""
    return [
        Mutant(named(name, row.keywords), row.error, row.function, row.right, row.wrong)
        for name, rows in _ERRORS.items()
        for row in rows
    ]
