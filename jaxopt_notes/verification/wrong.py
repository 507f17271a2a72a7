"""Wrong formulas: what people write when they take one book's optimizer for another's."""

from collections.abc import Callable
from typing import Any, TypeAlias

import jax.numpy as jnp
import optax

from jaxopt_notes.optimizers import add_decayed_weights, ema, scale_by_learning_rate, trace
from jaxopt_notes.optimizers._adam_forms import scale_by_adam_form
from jaxopt_notes.optimizers._rmsprop import over_root
from jaxopt_notes.optimizers.engine import Slot, leafwise

Transformation: TypeAlias = optax.GradientTransformation

# In place of a transformation


def nothing(*_: Any, **__: Any) -> Transformation:
    return optax.identity()


def climbing(rate: Any = None, *, flip_sign: bool = True) -> Transformation:
    return scale_by_learning_rate(rate, flip_sign=not flip_sign)


def not_nesterov(beta: Any, nesterov: bool = False, dtype: Any = None) -> Transformation:
    return trace(beta, False, dtype)


def averaging(beta: Any, *_: Any) -> Transformation:
    return ema(beta, debias=False)


def debiased(beta: Any, debias: bool, accumulator_dtype: Any) -> Transformation:
    return ema(beta, debias=True)


def always_dampened(dampening: float) -> Transformation:
    return leafwise(lambda g: (1 - dampening) * g)


def velocity_before_rate(beta: float) -> Callable[..., Transformation]:
    def scaled_velocity(rate: Any) -> Transformation:
        return optax.chain(trace(beta), scale_by_learning_rate(rate))

    return scaled_velocity


def eps_hat(b1: Any, b2: Any, eps: Any, *_: Any, **__: Any) -> Transformation:
    return scale_by_adam_form(b1, b2, eps, eps_hat=True)


def no_eps_hat(b1: Any, b2: Any, eps: Any, *, amsgrad: bool = False, **_: Any) -> Transformation:
    return scale_by_adam_form(b1, b2, eps, amsgrad=amsgrad)


def largest_corrected(b1: Any, b2: Any, eps: Any, **_: Any) -> Transformation:
    return optax.scale_by_amsgrad(b1, b2, eps)


def coupled(decay: float) -> Callable[..., Transformation]:
    def scale_by_adam(b1: Any, b2: Any, eps: Any, *_: Any, **__: Any) -> Transformation:
        l2 = add_decayed_weights(decay)
        return optax.chain(l2, scale_by_adam_form(b1, b2, eps))

    return scale_by_adam


def growing(decay: Any, mask: Any = None) -> Transformation:
    return add_decayed_weights(-decay)


def unscaled(rate: Any, decay: float) -> Transformation:
    return add_decayed_weights(-decay)


def scaled(decay: float) -> Transformation:
    return add_decayed_weights(0.01 * decay)


# In place of what a rule remembers


def from_zero(initial: Any = 0.0, **keywords: Any) -> Slot:
    return Slot(**keywords)


def push_not_weighted(g: Any, v: Any, *, beta: Any) -> Any:
    return g + beta * v


def push_decayed(g: Any, v: Any, *, beta: Any) -> Any:
    return beta * (g + v)


def weights_swapped(g: Any, v: Any, *, beta: Any) -> Any:
    return beta * g + (1 - beta) * v


def sum_of_squares(g: Any, E: Any, *, beta: Any) -> Any:
    return g * g + E


def average_of_squares(g: Any, G: Any) -> Any:
    return 0.1 * g * g + 0.9 * G


def moments(g: Any, m: Any, v: Any, *, b1: Any, b2: Any) -> Any:
    return (1 - b1) * g + b1 * m, (1 - b2) * g * g + b2 * v


def moments_swapped(g: Any, m: Any, v: Any, *, b1: Any, b2: Any) -> Any:
    return moments(g, m, v, b1=b2, b2=b1)


def moments_heavy(g: Any, m: Any, v: Any, *, b1: Any, b2: Any) -> Any:
    return g + b1 * m, moments(g, m, v, b1=b1, b2=b2)[1]


def moments_centred(g: Any, m: Any, v: Any, *, b1: Any, b2: Any) -> Any:
    m, _ = moments(g, m, v, b1=b1, b2=b2)
    return m, (1 - b2) * (g - m) ** 2 + b2 * v


def largest_forgotten(g: Any, m: Any, v: Any, s: Any, *, b1: Any, b2: Any) -> Any:
    m, v = moments(g, m, v, b1=b1, b2=b2)
    return m, v, v


def no_correction(decay: Any, t: Any) -> Any:
    return jnp.ones(())


def correction_a_step_late(decay: Any, t: Any) -> Any:
    return 1 - decay ** (t + 1)


# In place of where a rule moves


def root_swapped(g: Any, E: Any, *, eps: Any, eps_in_sqrt: bool) -> Any:
    return 1 / (jnp.sqrt(E) + eps) * g if eps_in_sqrt else g / jnp.sqrt(E + eps)


def no_root(g: Any, E: Any, *, eps: Any, eps_in_sqrt: bool) -> Any:
    return g / (E + eps)


def no_eps(g: Any, E: Any, *, eps: Any, eps_in_sqrt: bool) -> Any:
    return jnp.where(E > 0, g / jnp.sqrt(E), 0.0)


def not_centred(g: Any, m: Any, E: Any, *, eps: Any, eps_in_sqrt: bool) -> Any:
    return over_root(g, E, eps=eps, eps_in_sqrt=eps_in_sqrt)


def eps_inside(g: Any, m: Any, v: Any, *, eps: Any, eps_root: Any) -> Any:
    return m / jnp.sqrt(v + eps_root + eps)


def no_eps_root(g: Any, m: Any, v: Any, *, eps: Any, eps_root: Any) -> Any:
    return m / (jnp.sqrt(v) + eps)


def not_ahead(g: Any, m: Any, v: Any, g_hat: Any, *, b1: Any, eps: Any, eps_root: Any) -> Any:
    return m / (jnp.sqrt(v) + eps)
