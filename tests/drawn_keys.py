"""The keys that a program draws random numbers with, and those that it derives other keys from."""

from typing import NamedTuple

import jax
import numpy as np

from jaxopt_notes.training import network

DRAWING = ("bernoulli", "randint", "uniform", "normal", "truncated_normal", "permutation")
DERIVING = ("fold_in", "split")

Key = tuple[int, ...]


class Draws(NamedTuple):
    """Lists that grow by (function of jax.random, key) at each call, inside of jit too."""

    drawn: list[tuple[str, Key]]
    derived: list[tuple[str, Key]]

    @property
    def keys(self) -> list[Key]:
        """The keys that something was drawn with."""
        return [key for _, key in self.drawn]

    def count(self, name: str) -> int:
        """How often this function drew."""
        return sum(drawing == name for drawing, _ in self.drawn)


def record(monkeypatch) -> Draws:
    """Has jax.random's functions note their keys."""
    draws = Draws([], [])

    def noting(name, function, notes):
        def note(key):
            notes.append((name, tuple(np.asarray(key).ravel().tolist())))

        def noted(key, *args, **kwargs):
            jax.debug.callback(note, jax.random.key_data(key))
            return function(key, *args, **kwargs)

        return noted

    # Otherwise a known network would be drawn by its cached program, which notes nothing.
    monkeypatch.setattr(network, "_maker", network._maker.__wrapped__)
    for names, notes in ((DRAWING, draws.drawn), (DERIVING, draws.derived)):
        for name in names:
            monkeypatch.setattr(jax.random, name, noting(name, getattr(jax.random, name), notes))
    return draws
