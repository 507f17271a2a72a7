"""Keras 3 itself, on its JAX backend, as an oracle. Imported only on demand."""

from importlib import import_module
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_notes.runtime.host import set_environment_default
from jaxopt_notes.verification import problem

CLASSES = {
    "sgd": "SGD",
    "adagrad": "Adagrad",
    "rmsprop": "RMSprop",
    "adam": "Adam",
    "adamw": "AdamW",
}


def load() -> Any:
    """Keras on JAX; ImportError if Keras is not installed, or runs on another backend."""
    set_environment_default("KERAS_BACKEND", "jax")
    keras = import_module("keras")
    if keras.backend.backend() != "jax":
        raise ImportError(f"Keras is on {keras.backend.backend()}, not on JAX")
    return keras


def optimizer(name: str, keywords: dict[str, Any], rate: Any) -> Any:
    """Keras' optimizer of that name."""
    keras = load()
    table = np.asarray(rate, np.float64)

    schedule: Any = keras.optimizers.schedules.LearningRateSchedule

    class Table(schedule):
        def __call__(self, step: Any) -> Any:
            return jnp.asarray(table)[keras.ops.convert_to_tensor(step)]

    learning_rate = float(rate) if table.ndim == 0 else Table()
    return getattr(keras.optimizers, CLASSES[name])(learning_rate=learning_rate, **keywords)


def path(name: str, keywords: dict[str, Any], rate: Any, steps: int, dtype: str) -> problem.Path:
    """The path of Keras' optimizer."""
    keras = load()
    floatx = keras.backend.floatx()
    with jax.enable_x64(dtype == "float64"):
        try:
            keras.backend.set_floatx(dtype)  # the learning rate's dtype
            variables = [keras.Variable(p, dtype=dtype) for p in problem.start(dtype).values()]
            opt = optimizer(name, keywords, rate)
            opt.build(variables)
            gs = problem.gradients(steps, dtype).values()  # NumPy slices them faster than JAX
            apply = jax.jit(lambda of, g, theta: opt.stateless_apply(of, g, theta))
            theta, memory = [v.value for v in variables], [v.value for v in opt.variables]
            seen = []
            for k in range(steps):
                theta, memory = apply(memory, [g[k] for g in gs], theta)
                seen.append(theta)
        finally:
            keras.backend.set_floatx(floatx)
    return {
        leaf: np.stack([np.asarray(at[i]) for at in seen]) for i, leaf in enumerate(problem.SHAPES)
    }
