"""TensorFlow's own tf.compat.v1.train classes as an oracle. Imported only on demand.

contrib's AdamW was removed with TensorFlow 1, so its class cannot run.
"""

import inspect
from importlib import import_module
from typing import Any

import numpy as np

from jaxopt_notes.runtime.host import set_environment_default
from jaxopt_notes.verification import problem

CLASSES = {
    "gradient_descent": "GradientDescentOptimizer",
    "momentum": "MomentumOptimizer",
    "adagrad": "AdagradOptimizer",
    "rmsprop": "RMSPropOptimizer",
    "adam": "AdamOptimizer",
}


def load() -> Any:
    """TensorFlow on the CPU; on a GPU it would take JAX's memory."""
    set_environment_default("TF_CPP_MIN_LOG_LEVEL", "3")
    tensorflow = import_module("tensorflow")
    tensorflow.config.set_visible_devices([], "GPU")
    return tensorflow


def optimizer(name: str, keywords: dict[str, Any], rate: Any, dtype: str) -> Any:
    """TensorFlow's optimizer of that name; `rate` is a number or a function without arguments.

    TensorFlow turns a Python number into a float32 tensor even where the variables are float64,
    which makes 0.9 wrong by 2e-8. So keywords and defaults are passed as numbers of the dtype.
    """
    source = getattr(load().compat.v1.train, CLASSES[name])
    parameters = inspect.signature(source.__init__).parameters.items()
    defaults = {n: p.default for n, p in parameters if isinstance(p.default, float)}
    chosen = {**defaults, **keywords, "learning_rate": rate}
    typed = {n: np.dtype(dtype).type(x) if isinstance(x, float) else x for n, x in chosen.items()}
    return source(**typed)


def path(name: str, keywords: dict[str, Any], rate: Any, steps: int, dtype: str) -> problem.Path:
    """The path of TensorFlow's optimizer."""
    tensorflow = load()
    rates = iter(np.broadcast_to(np.asarray(rate, np.float64), steps).astype(dtype))
    opt = optimizer(name, keywords, lambda: next(rates), dtype)
    gs = problem.gradients(steps, dtype)
    theta = {leaf: tensorflow.Variable(p) for leaf, p in problem.start(dtype).items()}
    seen: dict[str, list[np.ndarray]] = {leaf: [] for leaf in theta}
    for k in range(steps):
        opt.apply_gradients([(tensorflow.constant(gs[leaf][k]), v) for leaf, v in theta.items()])
        for leaf, v in theta.items():
            seen[leaf].append(v.numpy())
    return {leaf: np.stack(path) for leaf, path in seen.items()}
