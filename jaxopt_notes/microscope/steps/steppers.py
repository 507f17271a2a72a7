"""Steppers: one interface to step an optimizer of any framework."""

import io
import pickle
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Protocol

import numpy as np

from jaxopt_notes.errors import InputError, first_line
from jaxopt_notes.microscope import factories

Arrays = dict[str, np.ndarray]
Gradients = Mapping[str, np.ndarray | None]


class Stepper(Protocol):
    """An object that can take a step.

    It may also have `set_learning_rate(value)`, `save() -> bytes` and `load(state: bytes)`. A
    method that cannot work raises `NotImplementedError`, and `identify` continues without it.

    >>> class SignDescent:
    ...     def start(self, params):
    ...         self.params = params
    ...
    ...     def step(self, grads):
    ...         for name, g in grads.items():
    ...             self.params[name] = self.params[name] - 0.1 * np.sign(g)
    ...         return self.params
    >>> mine: Stepper = SignDescent()
    >>> mine.start({"w": np.array([1.0])})
    >>> mine.step({"w": np.array([-3.0])})
    {'w': array([1.1])}
    """

    def start(self, params: Arrays) -> None:
        """Starts again from these parameters, without any memory."""

    def step(self, grads: Gradients) -> Arrays:
        """Takes one step; None means that an array has no gradient. Returns the parameters."""


class OptaxStepper:
    """A compiled optax transformation; in float64 if the parameters are float64.

    `make(learning_rate)` makes it, so that the learning rate can be set, or `make(None)` where it
    has none of its own. JAX has no missing gradients: zeros stand for None.

    >>> import optax
    >>> driven = OptaxStepper(optax.sgd, learning_rate=0.5)
    >>> driven.start({"w": np.array([1.0])})
    >>> driven.step({"w": np.array([1.0])})
    {'w': array([0.5])}
    >>> driven.set_learning_rate(0.25)
    >>> driven.step({"w": np.array([1.0])})
    {'w': array([0.25])}
    """

    def __init__(self, make: Callable[[Any], Any], learning_rate: float | None = None) -> None:
        import jax
        import optax

        self._jax, self._settable = jax, learning_rate is not None
        if self._settable:
            inject = optax.inject_hyperparams(lambda learning_rate: make(learning_rate))
            self._optimizer = inject(learning_rate=learning_rate)
        else:
            self._optimizer = make(None)

        def step(grads: Any, state: Any, params: Any) -> Any:
            updates, state = self._optimizer.update(grads, state, params)
            return optax.apply_updates(params, updates), state

        self._step = jax.jit(step)

    def _precision(self) -> Any:
        return self._jax.enable_x64(self._double)

    def start(self, params: Arrays) -> None:
        self._double = any(p.dtype == np.float64 for p in params.values())
        with self._precision():
            # Not jnp.asarray, which compiles a program for each shape.
            self._params = self._jax.device_put({name: p.copy() for name, p in params.items()})
            self._state = self._optimizer.init(self._params)

    def step(self, grads: Gradients) -> Arrays:
        with self._precision():
            filled = {
                name: self._jax.numpy.zeros_like(p) if grads[name] is None else grads[name]
                for name, p in self._params.items()
            }
            self._params, self._state = self._step(filled, self._state, self._params)
            return {name: np.asarray(p) for name, p in self._params.items()}

    def set_learning_rate(self, value: float) -> None:
        if not self._settable:
            raise NotImplementedError
        with self._precision():
            old = self._state.hyperparams["learning_rate"]
            self._state.hyperparams["learning_rate"] = self._jax.device_put(
                np.asarray(value, old.dtype)
            )

    def save(self) -> bytes:
        return pickle.dumps(self._jax.tree.map(np.asarray, self._state))

    def load(self, state: bytes) -> None:
        with self._precision():
            self._state = self._jax.device_put(pickle.loads(state))


class TorchStepper:
    """A torch optimizer; `make(parameters)` makes it.

    >>> import torch  # doctest: +SKIP
    >>> driven = TorchStepper(lambda params: torch.optim.SGD(params, lr=0.5))  # doctest: +SKIP
    >>> driven.start({"w": np.array([1.0])})  # doctest: +SKIP
    >>> driven.step({"w": np.array([1.0])})  # doctest: +SKIP
    {'w': array([0.5])}
    """

    def __init__(self, make: Callable[[list[Any]], Any]) -> None:
        self._torch = import_module("torch")
        self._make = make

    def start(self, params: Arrays) -> None:
        torch = self._torch
        self._params = {
            name: torch.nn.Parameter(torch.from_numpy(np.array(p))) for name, p in params.items()
        }
        self._optimizer = self._make(list(self._params.values()))

    def step(self, grads: Gradients) -> Arrays:
        for name, p in self._params.items():
            g = grads[name]
            p.grad = None if g is None else self._torch.from_numpy(np.array(g))
        self._optimizer.step()
        return {name: p.detach().numpy().copy() for name, p in self._params.items()}

    def set_learning_rate(self, value: float) -> None:
        for group in self._optimizer.param_groups:
            if isinstance(group["lr"], self._torch.Tensor):
                group["lr"].fill_(value)
            else:
                group["lr"] = value

    def save(self) -> bytes:
        file = io.BytesIO()
        self._torch.save(self._optimizer.state_dict(), file)
        return file.getvalue()

    def load(self, state: bytes) -> None:
        self._optimizer.load_state_dict(self._torch.load(io.BytesIO(state), weights_only=False))


class KerasStepper:
    """A Keras 3 optimizer on whichever backend Keras runs; `make()` makes it."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._keras = import_module("keras")
        self._make = make

    def _precision(self) -> Any:
        import contextlib

        if self._keras.backend.backend() != "jax":
            return contextlib.nullcontext()
        import jax

        return jax.enable_x64(self._dtype == "float64")

    def start(self, params: Arrays) -> None:
        keras = self._keras
        self._dtype = str(next(iter(params.values())).dtype)
        floatx = keras.backend.floatx()
        with self._precision():
            try:
                keras.backend.set_floatx(self._dtype)  # the learning rate's dtype
                self._params = {
                    name: keras.Variable(p, dtype=self._dtype) for name, p in params.items()
                }
                self._optimizer = self._make()
                self._optimizer.build(list(self._params.values()))
            finally:
                keras.backend.set_floatx(floatx)

    def step(self, grads: Gradients) -> Arrays:
        keras = self._keras
        with self._precision():
            gradients = {n: grads[n] for n in self._params if grads[n] is not None}
            if gradients:
                self._optimizer.apply(
                    [keras.ops.convert_to_tensor(g, self._dtype) for g in gradients.values()],
                    [self._params[name] for name in gradients],
                )
            return {n: keras.ops.convert_to_numpy(p).copy() for n, p in self._params.items()}

    def set_learning_rate(self, value: float) -> None:
        with self._precision():
            self._optimizer.learning_rate = value

    def save(self) -> bytes:
        return pickle.dumps(
            [self._keras.ops.convert_to_numpy(v) for v in self._optimizer.variables]
        )

    def load(self, state: bytes) -> None:
        with self._precision():
            for variable, value in zip(self._optimizer.variables, pickle.loads(state)):
                variable.assign(value)


class TensorflowStepper:
    """An optimizer of tf.compat.v1.train, on TensorFlow 2; `make()` makes it."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._tensorflow = import_module("tensorflow")
        self._make = make

    def start(self, params: Arrays) -> None:
        self._params = {name: self._tensorflow.Variable(p) for name, p in params.items()}
        self._optimizer = self._make()

    def step(self, grads: Gradients) -> Arrays:
        pairs = [
            (self._tensorflow.constant(g), p)
            for name, p in self._params.items()
            if (g := grads[name]) is not None
        ]
        if pairs:
            self._optimizer.apply_gradients(pairs)
        return {name: p.numpy().copy() for name, p in self._params.items()}


def stepper(path: str, values: Mapping[str, Any]) -> Stepper:
    """The stepper of a factory: `stepper("torch.optim.Adam", {"lr": 1e-3})`.

    Raises:
      InputError: there is no such factory, it refuses the arguments, or it makes no optimizer.

    >>> driven = stepper("jaxopt_notes.momentum", {"learning_rate": 0.5})
    >>> driven.start({"w": np.array([1.0])})
    >>> driven.step({"w": np.array([1.0])})
    {'w': array([0.95])}
    """
    return of_call(path, factories.factory(path), values)


def of_call(path: str, made: Callable[..., Any], values: Mapping[str, Any]) -> Stepper:
    """The stepper of the factory's result for these arguments; raises as `stepper` does."""
    if path.startswith("tensorflow."):
        return _checked(path, TensorflowStepper(lambda: factories.call(path, made, **values)))
    if isinstance(made, type) and _is_a(made, "torch.optim", "Optimizer"):
        return _checked(path, TorchStepper(lambda of: factories.call(path, made, of, **values)))
    if isinstance(made, type) and _is_a(made, "keras", "optimizers.Optimizer"):
        return _checked(path, KerasStepper(lambda: factories.call(path, made, **values)))
    return _checked(path, _optax(path, made, values))


def of_transformation(optimizer: Any) -> Stepper:
    """The stepper of an existing optax transformation."""
    return _checked("optimizer", OptaxStepper(lambda _: optimizer))


def _is_a(made: type, module: str, name: str) -> bool:
    """Whether a class belongs to a framework, which is already imported in that case."""
    import sys

    base: Any = sys.modules.get(module)
    for part in name.split("."):
        base = getattr(base, part, None)
    return base is not None and issubclass(made, base)


def _optax(path: str, made: Callable[..., Any], values: Mapping[str, Any]) -> Stepper:
    optimizer = factories.call(path, made, **values)
    if not (callable(getattr(optimizer, "init", None)) and hasattr(optimizer, "update")):
        kind = type(optimizer).__name__
        raise InputError(f"{path}: makes a {kind}, not an optimizer")
    called = next((k for k in ("learning_rate", "lr", "alpha", "eta") if k in values), None)
    if called is None or not isinstance(values[called], (int, float)):
        return OptaxStepper(lambda _: optimizer)
    return OptaxStepper(lambda rate: made(**{**values, called: rate}), float(values[called]))


def _checked(path: str, made: Stepper) -> Stepper:
    """Takes one step, so that an optimizer that cannot step fails at once."""
    try:
        made.start({"w": np.zeros(2)})
        made.step({"w": np.ones(2)})
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"{path}: cannot step on gradients alone ({first_line(error)}); "
            "choose an optimizer that needs neither losses nor closures"
        ) from error
    return made
