"""The equations of each framework: terms, defaults, and the framework's names of the terms."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from jaxopt_notes.errors import InputError
from jaxopt_notes.verification import oracle_equations, problem

_SGD, _ADAGRAD, _RMSPROP, _ADAM = (
    oracle_equations.sgd,
    oracle_equations.adagrad,
    oracle_equations.rmsprop,
    oracle_equations.adam,
)
_B = {"β1": 0.9, "β2": 0.999}
_TORCH = "weight_decay=coupled maximize=maximize"
_TORCH_ADAM = "betas=β1,β2 eps=ε amsgrad=amsgrad maximize=maximize"
_KERAS_ADAM = "beta_1=β1 beta_2=β2 epsilon=ε amsgrad=amsgrad weight_decay=decoupled"
_OPTAX_ADAM = "b1=β1 b2=β2 eps=ε eps_root=ε_root nesterov=nesterov weight_decay=decoupled"
_TF_ADAM = "beta1=β1 beta2=β2 epsilon=ε"

# framework.optimizer → the equation, its terms, and the framework's names of the terms
FRAMEWORKS: dict[str, tuple[Callable[..., Iterator[np.ndarray]], dict[str, Any], str]] = {
    "notes.sgd": (_SGD, {}, ""),
    "notes.momentum": (_SGD, {"β": 0.9, "average": True}, "beta=β"),
    "notes.adagrad": (_ADAGRAD, {"G0": 0.0, "ε": 1e-8, "inside": False}, "epsilon=ε"),
    "notes.rmsprop": (_RMSPROP, {"β": 0.9, "ε": 1e-8, "inside": True}, "beta=β epsilon=ε"),
    "notes.adam": (_ADAM, {**_B, "ε": 1e-8}, _TF_ADAM),
    "notes.adamw": (_ADAM, {**_B, "ε": 1e-8}, f"{_TF_ADAM} weight_decay=decoupled"),
    "optax.sgd": (_SGD, {}, "momentum=β nesterov=nesterov"),
    "optax.momentum": (_SGD, {"β": 0.9, "average": True}, "beta=β"),
    "optax.adagrad": (
        _ADAGRAD,
        {"G0": 0.1, "ε": 1e-7, "inside": True, "still": True},
        "initial_accumulator_value=G0 eps=ε eps_in_sqrt=inside",
    ),
    "optax.rmsprop": (
        _RMSPROP,
        {"β": 0.9, "ε": 1e-8, "inside": True},
        "decay=β eps=ε initial_scale=E0 eps_in_sqrt=inside centered=centered momentum=μ "
        "nesterov=nesterov bias_correction=debias",
    ),
    "optax.ema": (_SGD, {"average": True, "debias": True}, "decay=β"),
    "optax.amsgrad": (
        _ADAM,
        {**_B, "ε": 1e-8, "amsgrad": True, "corrected_first": True},
        f"{_OPTAX_ADAM} bias_correction_mu=debias_m bias_correction_nu=debias_v",
    ),
    "optax.lion": (
        oracle_equations.lion,
        {"β1": 0.9, "β2": 0.99, "decoupled": 1e-3},
        "b1=β1 b2=β2 weight_decay=decoupled",
    ),
    "optax.nadam": (_ADAM, {**_B, "ε": 1e-8, "nesterov": True}, _OPTAX_ADAM),
    "optax.adam": (_ADAM, {**_B, "ε": 1e-8}, _OPTAX_ADAM),
    "optax.adamw": (_ADAM, {**_B, "ε": 1e-8, "decoupled": 1e-4}, _OPTAX_ADAM),
    "torch.sgd": (_SGD, {}, f"momentum=β dampening=dampening nesterov=nesterov {_TORCH}"),
    "torch.adagrad": (
        _ADAGRAD,
        {"G0": 0.0, "ε": 1e-10, "inside": False},
        f"lr_decay=rate_decay initial_accumulator_value=G0 eps=ε {_TORCH}",
    ),
    "torch.rmsprop": (
        _RMSPROP,
        {"β": 0.99, "ε": 1e-8, "inside": False, "rate_inside": False},
        f"alpha=β eps=ε momentum=μ centered=centered {_TORCH}",
    ),
    "torch.adam": (_ADAM, {**_B, "ε": 1e-8}, f"{_TORCH_ADAM} weight_decay=coupled"),
    "torch.adamw": (
        _ADAM,
        {**_B, "ε": 1e-8, "decoupled": 1e-2},
        f"{_TORCH_ADAM} weight_decay=decoupled",
    ),
    "keras.sgd": (
        _SGD,
        {"rate_inside": True},
        "momentum=β nesterov=nesterov weight_decay=decoupled",
    ),
    "keras.adagrad": (
        _ADAGRAD,
        {"G0": 0.1, "ε": 1e-7, "inside": True},
        "initial_accumulator_value=G0 epsilon=ε weight_decay=decoupled",
    ),
    "keras.rmsprop": (
        _RMSPROP,
        {"β": 0.9, "ε": 1e-7, "inside": True},
        "rho=β momentum=μ epsilon=ε centered=centered weight_decay=decoupled",
    ),
    "keras.adam": (_ADAM, {**_B, "ε": 1e-7, "hat": True}, _KERAS_ADAM),
    "keras.adamw": (_ADAM, {**_B, "ε": 1e-7, "hat": True, "decoupled": 0.004}, _KERAS_ADAM),
    "tensorflow1.gradient_descent": (_SGD, {}, ""),
    "tensorflow1.momentum": (_SGD, {}, "momentum=β use_nesterov=nesterov"),
    "tensorflow1.adagrad": (
        _ADAGRAD,
        {"G0": 0.1, "ε": 0.0, "inside": True},
        "initial_accumulator_value=G0",
    ),
    "tensorflow1.rmsprop": (
        _RMSPROP,
        {"β": 0.9, "ε": 1e-10, "inside": True, "E0": 1.0},
        "decay=β momentum=μ epsilon=ε centered=centered",
    ),
    "tensorflow1.adam": (_ADAM, {**_B, "ε": 1e-8, "hat": True}, _TF_ADAM),
    "tensorflow1.adamw": (
        _ADAM,
        {**_B, "ε": 1e-8, "hat": True},
        f"{_TF_ADAM} weight_decay=unscaled",
    ),
}


def terms(name: str, keywords: dict[str, Any]) -> dict[str, Any]:
    """The equation's terms for the keywords of a framework's optimizer, `framework.optimizer`.

    Raises:
      InputError: the optimizer has no term for a keyword.
    """
    _, own, called = FRAMEWORKS[name]
    letters = dict(pair.split("=") for pair in called.split())
    chosen = dict(own)
    for keyword, value in keywords.items():
        if keyword not in letters:
            raise InputError(
                f"{name}({keyword}=…): verification/frameworks.py has no term for this argument; "
                f"add {keyword}=TERM to the row of {name}"
            )
        if keyword == "betas":
            chosen |= dict(zip(letters[keyword].split(","), value))
        else:
            chosen[letters[keyword]] = 0.0 if value is None else value
    return chosen


def path(name: str, keywords: dict[str, Any], rate: Any, steps: int, dtype: str) -> problem.Path:
    """The path of the written equation, in float64, from gradients and θ_0 rounded to the dtype."""
    equation, chosen = FRAMEWORKS[name][0], terms(name, keywords)
    rates = np.broadcast_to(np.asarray(rate, np.float64), steps)
    at = problem.start(dtype)
    return {
        leaf: np.stack(
            list(equation(np.asarray(g, np.float64), rates, np.asarray(at[leaf], float), **chosen))
        )
        for leaf, g in problem.gradients(steps, dtype).items()
    }
