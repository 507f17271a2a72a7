"""The written equations in NumPy and float64, without code of this package, optax, torch or Keras.

Each is a generator of θ_1, θ_2, … for one array. The letters are the papers'. The keywords are the
terms in which the frameworks differ; `frameworks` lists each framework's terms.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

Array = np.ndarray
Steps = Iterator[Array]


def sgd(
    gs: Iterable[Array],
    rates: Iterable[float],
    θ: Array,
    *,
    β: float = 0.0,
    average: bool = False,
    debias: bool = False,
    nesterov: bool = False,
    dampening: float = 0.0,
    rate_inside: bool = False,
    coupled: float = 0.0,
    decoupled: float = 0.0,
    maximize: bool = False,
) -> Steps:
    v: Any = None
    for t, (g, α) in enumerate(zip(gs, rates), start=1):
        decay = α * decoupled * θ
        g = (-g if maximize else g) + coupled * θ
        push = α * g if rate_inside else g
        if average:
            v = (1 - β) * push if v is None else β * v + (1 - β) * push
        else:
            v = push if v is None or not β else β * v + (1 - dampening) * push
        step = push + β * v if nesterov and β else v / (1 - β**t if debias else 1.0)
        θ = θ - (step if rate_inside else α * step) - decay
        yield θ


def adagrad(
    gs: Iterable[Array],
    rates: Iterable[float],
    θ: Array,
    *,
    G0: float,
    ε: float,
    inside: bool,
    still: bool = False,
    rate_decay: float = 0.0,
    coupled: float = 0.0,
    decoupled: float = 0.0,
    maximize: bool = False,
) -> Steps:
    G = G0 + np.zeros_like(θ)
    for k, (g, α) in enumerate(zip(gs, rates)):
        decay = α * decoupled * θ
        g = (-g if maximize else g) + coupled * θ
        G = G + g**2
        root = np.sqrt(G + ε) if inside else np.sqrt(G) + ε
        moves = G > 0 if still else root > 0  # optax does not move where G is 0
        step = np.divide(g, root, out=np.zeros_like(g), where=moves)
        θ = θ - α / (1 + k * rate_decay) * step - decay
        yield θ


def rmsprop(
    gs: Iterable[Array],
    rates: Iterable[float],
    θ: Array,
    *,
    β: float,
    ε: float,
    inside: bool,
    E0: float = 0.0,
    centered: bool = False,
    debias: bool = False,
    μ: float = 0.0,
    nesterov: bool = False,
    rate_inside: bool = True,
    coupled: float = 0.0,
    decoupled: float = 0.0,
    maximize: bool = False,
) -> Steps:
    E, m, v = E0 + np.zeros_like(θ), np.zeros_like(θ), np.zeros_like(θ)
    for t, (g, α) in enumerate(zip(gs, rates), start=1):
        decay = α * decoupled * θ
        g = (-g if maximize else g) + coupled * θ
        E = β * E + (1 - β) * g**2
        m = β * m + (1 - β) * g
        c = 1 - β**t if debias else 1.0
        spread = E / c - (m / c) ** 2 if centered else E / c
        push = g / (np.sqrt(spread + ε) if inside else np.sqrt(spread) + ε)
        push = α * push if rate_inside else push
        v = μ * v + push
        step = push + μ * v if nesterov else v
        θ = θ - (step if rate_inside else α * step) - decay
        yield θ


def adam(
    gs: Iterable[Array],
    rates: Iterable[float],
    θ: Array,
    *,
    β1: float,
    β2: float,
    ε: float,
    ε_root: float = 0.0,
    nesterov: bool = False,
    hat: bool = False,
    amsgrad: bool = False,
    corrected_first: bool = False,
    debias_m: bool = True,
    debias_v: bool = True,
    coupled: float = 0.0,
    decoupled: float = 0.0,
    unscaled: float = 0.0,
    maximize: bool = False,
) -> Steps:
    m = v = s = θ - θ  # zeros of θ's own number type
    for t, (g, α) in enumerate(zip(gs, rates), start=1):
        decay = (α * decoupled + unscaled) * θ
        g = (-g if maximize else g) + coupled * θ
        m = β1 * m + (1 - β1) * g
        v = β2 * v + (1 - β2) * g**2
        c1 = 1 - β1**t if debias_m else 1.0
        c2 = 1 - β2**t if debias_v else 1.0
        largest = np.maximum(s, v / c2 if corrected_first else v)
        s = largest if amsgrad else v
        m_hat = β1 * m / (1 - β1 ** (t + 1)) + (1 - β1) * g / c1 if nesterov else m / c1
        if hat:
            step = np.sqrt(c2) * m_hat / (np.sqrt(s) + ε)
        else:
            v_hat = s if corrected_first else s / c2
            step = m_hat / (np.sqrt(v_hat + ε_root) + ε)
        θ = θ - α * step - decay
        yield θ


def lion(
    gs: Iterable[Array],
    rates: Iterable[float],
    θ: Array,
    *,
    β1: float,
    β2: float,
    decoupled: float = 0.0,
) -> Steps:
    m = np.zeros_like(θ)
    for g, α in zip(gs, rates):
        step = np.sign(β1 * m + (1 - β1) * g)
        m = β2 * m + (1 - β2) * g
        θ = θ - α * (step + decoupled * θ)
        yield θ
