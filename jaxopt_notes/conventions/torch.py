"""torch.optim's SGD, Adagrad, RMSprop, Adam and AdamW, with torch's arguments and trajectories.

Follows torch 2.13. With λ = weight_decay, all optimizers except AdamW start from the gradient

    g_t = ∇L(θ) + λ θ          maximize: −∇L(θ) + λ θ

so the decay is coupled: it passes through velocity and moments. The learning rate always stands
outside the velocity, and ε outside the root. Learning rate, momentum and β1 may be numbers or
schedules. A schedule is a function of the steps taken and gives the value that a torch scheduler
would set, if it steps after each `optimizer.step()`. The functions do not take the arguments that
choose torch's implementation (foreach, fused, capturable, differentiable). Complex parameters
differ from torch: torch treats the real and the imaginary part as two parameters; all functions
here except `sgd` use |g|², as optax does.
"""

from typing import Any

import jax
import optax

from jaxopt_notes import optimizers
from jaxopt_notes.conventions.clipping import clip_grad_norm as clip_grad_norm
from jaxopt_notes.conventions.clipping import clip_grad_value as clip_grad_value
from jaxopt_notes.conventions.terms import (
    Rate,
    ascend,
    dampened,
    is_set,
    scheduled,
    shrunk,
    velocity,
)
from jaxopt_notes.optimizers import add_decayed_weights, scale_by_learning_rate
from jaxopt_notes.optimizers._adam_forms import scale_by_adam_form


def _gradient(weight_decay: float, maximize: bool) -> list[optax.GradientTransformation]:
    """g_t = ±∇L(θ) + λ θ: the sign first."""
    sign = [ascend()] if maximize else []
    return [*sign, add_decayed_weights(weight_decay)] if is_set(weight_decay) else sign


def _direction(
    betas: tuple[Rate, float], eps: float, amsgrad: bool
) -> optax.GradientTransformation:
    """m̂_t / (√v̂_t + ε). With β1 from a schedule, m̂_t = m_t / (1 − β1^t) for the β1 of step t.

    torch does this, although the weights of the moving average sum to 1 − Π β1 over all steps.
    """
    b1, b2 = betas

    def of(b1: Any) -> optax.GradientTransformation:
        return scale_by_adam_form(b1, b2, eps, amsgrad=amsgrad, exact_correction=True)

    return scheduled(of, b1) if callable(b1) else of(b1)


def sgd(
    lr: Rate = 1e-3,
    momentum: Rate = 0,
    dampening: float = 0,
    weight_decay: float = 0,
    nesterov: bool = False,
    *,
    maximize: bool = False,
) -> optax.GradientTransformation:
    """v_1 = g_1, v_t = μ v_{t−1} + (1 − τ) g_t ; θ ← θ − lr v_t, or θ ← θ − lr (g_t + μ v_t).

    optax's `sgd` has no dampening τ and no weight decay. The first step is undampened, so τ = μ
    does not give the notes' moving average, whose v_1 is (1 − β) g_1.

    Args:
      lr: the rate, a number or a schedule.
      momentum: μ in [0, 1], a number or a schedule; 0 for no velocity.
      dampening: τ.
      weight_decay: λ, coupled.
      nesterov: look ahead; needs a momentum, and no dampening.
      maximize: climb.

    Raises:
      ValueError: nesterov without momentum or with dampening; an argument outside its interval.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes.conventions import torch
    >>> optimizer, g = torch.sgd(lr=1.0, momentum=0.5, dampening=0.5), jnp.array(1.0)
    >>> state = optimizer.init(g)
    >>> for _ in range(3):
    ...     update, state = optimizer.update(g, state)
    ...     print(update)
    -1.0
    -1.0
    -1.0
    """
    if nesterov and (not is_set(momentum) or is_set(dampening)):
        raise ValueError(
            f"nesterov=True needs momentum > 0 and dampening=0, not {momentum!r} and {dampening!r}"
        )
    links = _gradient(weight_decay, maximize)
    if is_set(momentum) and is_set(dampening):
        links.append(dampened(dampening))
    if is_set(momentum):
        links.append(velocity(momentum, nesterov))
    return optax.chain(*links, scale_by_learning_rate(lr))


def adagrad(
    lr: Rate = 1e-2,
    lr_decay: float = 0,
    weight_decay: float = 0,
    initial_accumulator_value: float = 0,
    eps: float = 1e-10,
    *,
    maximize: bool = False,
) -> optax.GradientTransformation:
    """G_t = G_{t−1} + g_t² ; θ ← θ − lr / (1 + (t − 1) η) · g_t / (√G_t + ε).

    optax has g_t / √(G_t + ε) and G_0 = 0.1. With ε = 0, parameters for which torch divides 0 by 0
    do not move here.

    Args:
      lr: the rate, a number or a schedule.
      lr_decay: η.
      weight_decay: λ, coupled.
      initial_accumulator_value: G_0.
      eps: ε, outside the root.
      maximize: climb.

    Raises:
      ValueError: an argument is outside its interval.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes.conventions import torch
    >>> optimizer, g = torch.adagrad(lr=1.0), jnp.array([4.0, 1e-10])
    >>> print(optimizer.update(g, optimizer.init(g))[0])
    [-1.  -0.5]
    """

    def falling(count: jax.Array) -> jax.Array:
        return (lr(count) if callable(lr) else lr) / (1 + count * lr_decay)

    return optax.chain(
        *_gradient(weight_decay, maximize),
        optimizers.adagrad(
            falling if is_set(lr_decay) else lr, initial_accumulator_value, eps, eps_in_sqrt=False
        ),
    )


def rmsprop(
    lr: Rate = 1e-2,
    alpha: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0,
    momentum: Rate = 0,
    centered: bool = False,
    *,
    maximize: bool = False,
) -> optax.GradientTransformation:
    """E_t = α E_{t−1} + (1 − α) g_t² ; v_t = μ v_{t−1} + g_t / (√E_t + ε) ; θ ← θ − lr v_t.

    optax has ε inside the root and the learning rate inside the velocity; its decay defaults to
    0.9. The centred form replaces √E_t by √(E_t − m_t²), with m_t the moving average of g_t.

    Args:
      lr: the rate, a number or a schedule.
      alpha: α in [0, 1), the decay of the averages.
      eps: ε, outside the root.
      weight_decay: λ, coupled.
      momentum: μ in [0, 1], a number or a schedule.
      centered: divide by the standard deviation.
      maximize: climb.

    Raises:
      ValueError: an argument is outside its interval.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes.conventions import torch
    >>> optimizer, g = torch.rmsprop(lr=1.0, alpha=0.75), jnp.array(4.0)
    >>> print(optimizer.update(g, optimizer.init(g))[0])
    -2.0
    """
    scale = optimizers.scale_by_stddev if centered else optimizers.scale_by_rms
    return optax.chain(
        *_gradient(weight_decay, maximize),
        scale(decay=alpha, eps=eps, eps_in_sqrt=False),
        *([velocity(momentum)] if is_set(momentum) else []),
        scale_by_learning_rate(lr),
    )


def adam(
    lr: Rate = 1e-3,
    betas: tuple[Rate, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0,
    amsgrad: bool = False,
    *,
    maximize: bool = False,
) -> optax.GradientTransformation:
    """θ ← θ − lr m̂_t / (√v̂_t + ε), of g_t with the decay λ θ added.

    Without a weight decay this is optax's `adam`. The decay is coupled: it passes through the
    moments; AdamW's decay does not. With amsgrad, v̂_t = max(v_1, …, v_t) / (1 − β2^t); optax takes
    the maximum after the correction.

    Args:
      lr: the rate, a number or a schedule.
      betas: β1 and β2, each in [0, 1); β1 a number or a schedule.
      eps: ε, outside the root, after the correction.
      weight_decay: λ, coupled.
      amsgrad: divide by the root of the largest v so far.
      maximize: climb.

    Raises:
      ValueError: an argument is outside its interval.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes.conventions import torch
    >>> optimizer, g = torch.adam(lr=1.0), jnp.array([4.0, 1e-8])
    >>> print([f"{u:.2f}" for u in optimizer.update(g, optimizer.init(g))[0]])
    ['-1.00', '-0.50']
    """
    return optax.chain(
        *_gradient(weight_decay, maximize),
        _direction(betas, eps, amsgrad),
        scale_by_learning_rate(lr),
    )


def adamw(
    lr: Rate = 1e-3,
    betas: tuple[Rate, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 1e-2,
    amsgrad: bool = False,
    *,
    maximize: bool = False,
) -> optax.GradientTransformation:
    """θ ← θ − lr λ θ − lr m̂_t / (√v̂_t + ε): the decay is decoupled, and multiplied by lr.

    Equal to optax's `adamw`, whose λ defaults to 1e-4. `amsgrad` works as in `adam`.

    Args:
      lr: the rate, a number or a schedule.
      betas: β1 and β2, each in [0, 1); β1 a number or a schedule.
      eps: ε, outside the root, after the correction.
      weight_decay: λ, decoupled.
      amsgrad: divide by the root of the largest v so far.
      maximize: climb; the decay still shrinks θ.

    Raises:
      ValueError: an argument is outside its interval.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes.conventions import torch
    >>> optimizer, theta = torch.adamw(lr=0.5, weight_decay=0.5), jnp.array(2.0)
    >>> print(optimizer.update(jnp.array(0.0), optimizer.init(theta), theta)[0])
    -0.5
    """
    return optax.chain(
        *([ascend()] if maximize else []),
        _direction(betas, eps, amsgrad),
        scale_by_learning_rate(lr),
        *([shrunk(lr, weight_decay)] if is_set(weight_decay) else []),
    )
