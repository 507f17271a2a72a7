"""Wrong optimizers: each puts one mistake, such as books and libraries make, into a formula."""

from importlib import import_module
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

import jaxopt_notes
from jaxopt_notes.optimizers import adagrad as right_adagrad
from jaxopt_notes.optimizers import scale_by_adam, scale_by_learning_rate, trace


def module(name: str) -> Any:
    """The module, which the optimizer of the same name hides in its package."""
    return import_module(f"jaxopt_notes.optimizers.{name}")


adagrad, adam, leafwise, momentum = map(module, ("_adagrad", "_adam", "engine", "_momentum"))
moments, rmsprop, rate, weight_decay = map(
    module, ("moments", "_rmsprop", "_learning_rate", "_weight_decay")
)


class Mutant(NamedTuple):
    """A wrong thing to put in the place of a right one, and a case that it must spoil."""

    where: Any
    name: str
    wrong: Any
    spoils: str


def _adamw_with_coupled_decay(learning_rate: Any, **keywords: Any) -> Any:
    weight_decay = keywords.pop("weight_decay", 1e-4)
    mask = keywords.pop("mask", None)
    return optax.chain(
        jaxopt_notes.add_decayed_weights(weight_decay, mask),
        scale_by_adam(**keywords),
        scale_by_learning_rate(learning_rate),
    )


def _adamw_with_decay_after_the_rate(learning_rate: Any, **keywords: Any) -> Any:
    weight_decay = keywords.pop("weight_decay", 1e-4)
    mask = keywords.pop("mask", None)
    return optax.chain(
        scale_by_adam(**keywords),
        scale_by_learning_rate(learning_rate),
        jaxopt_notes.add_decayed_weights(
            (lambda k: -weight_decay(k)) if callable(weight_decay) else -weight_decay, mask
        ),
    )


def _rmsprop_with_the_rate_outside(learning_rate: Any, **keywords: Any) -> Any:
    velocity, nesterov = keywords.pop("momentum", None), keywords.pop("nesterov", False)
    centered = keywords.pop("centered", False)
    scale = jaxopt_notes.scale_by_stddev if centered else jaxopt_notes.scale_by_rms
    return optax.chain(
        scale(**keywords),
        optax.identity() if velocity is None else trace(velocity, nesterov),
        scale_by_learning_rate(learning_rate),
    )


def _schedule_ahead(*rules: Any, at_step: Any = None, **keywords: Any) -> Any:
    ahead = None if at_step is None else lambda count: at_step(count + 1)
    return leafwise.leafwise(*rules, at_step=ahead, **keywords)


def _schedule_without_sign(*rules: Any, at_step: Any = None, **keywords: Any) -> Any:
    positive = None if at_step is None else lambda count: abs(at_step(count))
    return leafwise.leafwise(*rules, at_step=positive, **keywords)


def _debias_in_low_precision(averages: list[Any], correction: Any) -> list[Any]:
    return [(a * (1 / correction).astype(a.dtype)) for a in averages]


right_cast, right_slot = leafwise._cast, leafwise.Slot
right_moments, right_rms_over_root = adam.first_and_second_moment, rmsprop.over_root
right_rss_over_root, right_trace = adagrad.over_root, momentum.trace
right_decay = weight_decay.add_decayed_weights

MUTANTS: dict[str, Mutant] = {
    "adam: ε inside the root": Mutant(
        adam,
        "direction",
        lambda g, m, v, *, eps, eps_root: m / jnp.sqrt(v + eps_root + eps),
        "adam(learning_rate=0.1)",
    ),
    "adam: ε_root ignored": Mutant(
        adam,
        "direction",
        lambda g, m, v, *, eps, eps_root: m / (jnp.sqrt(v) + eps),
        "adam(learning_rate=0.1,eps_root=1e-06)",
    ),
    "adam: ε_root outside the root": Mutant(
        adam,
        "direction",
        lambda g, m, v, *, eps, eps_root: m / (jnp.sqrt(v) + eps + eps_root),
        "adam(learning_rate=0.1,eps_root=1e-06)",
    ),
    "adam: no square root": Mutant(
        adam,
        "direction",
        lambda g, m, v, *, eps, eps_root: m / (v + eps_root + eps),
        "scale_by_adam()",
    ),
    "adam: β1 and β2 swapped": Mutant(
        adam,
        "first_and_second_moment",
        lambda g, m, v, *, b1, b2: right_moments(g, m, v, b1=b2, b2=b1),
        "adam(learning_rate=0.1)",
    ),
    "adam: the second moment from |g|": Mutant(
        adam,
        "first_and_second_moment",
        lambda g, m, v, *, b1, b2: ((1 - b1) * g + b1 * m, (1 - b2) * abs(g) + b2 * v),
        "adam(learning_rate=0.1)",
    ),
    "adam: Nesterov ignored": Mutant(
        adam,
        "nesterov_direction",
        lambda g, m, v, g_hat, *, b1, eps, eps_root: m / (jnp.sqrt(v + eps_root) + eps),
        "adam(learning_rate=0.1,nesterov=True)",
    ),
    "adam: Nesterov with the gradient's bias left in": Mutant(
        adam,
        "nesterov_direction",
        lambda g, m, v, g_hat, *, b1, eps, eps_root: (
            (b1 * m + (1 - b1) * g) / (jnp.sqrt(v + eps_root) + eps)
        ),
        "adam(learning_rate=0.1,nesterov=True)",
    ),
    "adamw: the decay through the moments": Mutant(
        jaxopt_notes,
        "adamw",
        _adamw_with_coupled_decay,
        "adamw(learning_rate=0.1,weight_decay=0.1)",
    ),
    "adamw: the decay not multiplied by the rate": Mutant(
        jaxopt_notes,
        "adamw",
        _adamw_with_decay_after_the_rate,
        "adamw(learning_rate=0.1,weight_decay=0.1)",
    ),
    "weight decay: mask ignored": Mutant(
        adam,
        "add_decayed_weights",
        lambda weight, mask: right_decay(weight),
        "adamw(learning_rate=0.1,weight_decay=0.1,mask=tree)",
    ),
    "weight decay: schedule off by one": Mutant(
        weight_decay,
        "leafwise",
        _schedule_ahead,
        "add_decayed_weights(weight_decay=linear)",
    ),
    "bias correction missing": Mutant(
        moments, "debias", lambda averages, correction: averages, "ema(decay=0.9)"
    ),
    "bias correction off by one": Mutant(
        moments, "correction", lambda decay, t: 1 - decay ** (t + 1), "adam(learning_rate=0.1)"
    ),
    "bias correction rounded before the division": Mutant(
        moments,
        "debias",
        _debias_in_low_precision,
        "scale_by_rms(decay=0.999,bias_correction=True)",
    ),
    "momentum: the heavy ball for the moving average": Mutant(
        momentum,
        "moving_average",
        lambda g, v, *, beta: g + beta * v,
        "momentum(learning_rate=0.1)",
    ),
    "momentum: β and 1 − β swapped": Mutant(
        momentum,
        "moving_average",
        lambda g, v, *, beta: beta * g + (1 - beta) * v,
        "momentum(learning_rate=0.1)",
    ),
    "sgd: the moving average for the heavy ball": Mutant(
        momentum,
        "heavy_ball",
        lambda g, v, *, beta: (1 - beta) * g + beta * v,
        "trace(decay=0.9)",
    ),
    "sgd: Nesterov ignored": Mutant(
        momentum,
        "trace",
        lambda decay, nesterov, dtype: right_trace(decay, False, dtype),
        "sgd(learning_rate=0.1,momentum=0.9,nesterov=True)",
    ),
    "adagrad: accumulator from zero": Mutant(
        adagrad, "Slot", lambda initial: right_slot(0.0), "adagrad(learning_rate=0.1)"
    ),
    "adagrad: ε outside the root": Mutant(
        jaxopt_notes,
        "adagrad",
        lambda *args, **keywords: right_adagrad(*args, **keywords, eps_in_sqrt=False),
        "adagrad(learning_rate=0.1)",
    ),
    "adagrad: 0/0 where nothing was seen": Mutant(
        adagrad,
        "over_root",
        lambda g, G, *, eps, eps_in_sqrt: jax.lax.rsqrt(G + eps) * g,
        "scale_by_rss(initial_accumulator_value=0,eps=0)",
    ),
    "adagrad: the root of the sum before this gradient": Mutant(
        adagrad,
        "over_root",
        lambda g, G, **keywords: right_rss_over_root(g, G - g * g, **keywords),
        "scale_by_rss()",
    ),
    "rmsprop: ε on the other side of the root": Mutant(
        rmsprop,
        "over_root",
        lambda g, E, *, eps, eps_in_sqrt: right_rms_over_root(
            g, E, eps=eps, eps_in_sqrt=not eps_in_sqrt
        ),
        "rmsprop(learning_rate=0.1,eps_in_sqrt=False)",
    ),
    "rmsprop: centring ignored": Mutant(
        rmsprop,
        "over_deviation",
        lambda g, m, E, **keywords: right_rms_over_root(g, E, **keywords),
        "rmsprop(learning_rate=0.1,centered=True)",
    ),
    "rmsprop: the mean not squared": Mutant(
        rmsprop,
        "over_deviation",
        lambda g, m, E, **keywords: right_rms_over_root(g, E - abs(m), **keywords),
        "scale_by_stddev()",
    ),
    "rmsprop: initial scale ignored": Mutant(
        rmsprop,
        "Slot",
        lambda initial=0.0: right_slot(0.0),
        "scale_by_rms(decay=0.5,eps=0.1,initial_scale=2.0,eps_in_sqrt=False)",
    ),
    "rmsprop: the rate outside the velocity": Mutant(
        jaxopt_notes,
        "rmsprop",
        _rmsprop_with_the_rate_outside,
        "rmsprop(learning_rate=0.1,momentum=0.9)",
    ),
    "squares of complex numbers": Mutant(
        rmsprop, "abs_sq", lambda g: (g * g).real, "scale_by_rms()"
    ),
    "rate: schedule off by one": Mutant(
        rate, "leafwise", _schedule_ahead, "sgd(learning_rate=cosine,momentum=0.9)"
    ),
    "rate: a schedule's sign lost": Mutant(
        rate, "leafwise", _schedule_without_sign, "scale_by_learning_rate(learning_rate=cosine)"
    ),
    "accumulator dtype ignored": Mutant(
        leafwise,
        "_cast",
        lambda new, old, slot: new,
        "adam(learning_rate=0.1,mu_dtype=bfloat16)",
    ),
    "accumulators always kept in the dtype of before": Mutant(
        leafwise,
        "_cast",
        lambda new, old, slot: new.astype(old.dtype),
        "scale_by_rms(decay=ArrayImpl0.8999999761581421,initial_scale=ArrayImpl0.5)",
    ),
    "the first step counted as the second": Mutant(
        leafwise, "increment", lambda count: jnp.asarray(count) + 2, "scale_by_adam()"
    ),
}
