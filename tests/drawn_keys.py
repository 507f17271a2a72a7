"""The keys that a program draws random numbers with, in the order in which it draws."""

import jax
import numpy as np

CONSUMERS = ("bernoulli", "randint", "uniform", "normal", "truncated_normal", "permutation")


def record(monkeypatch):
    """A list that grows by (function of jax.random, key) at each draw, inside of jit too."""
    drawn = []

    def recorded(name, draw):
        def note(key):
            drawn.append((name, tuple(np.asarray(key).ravel().tolist())))

        def recording(key, *args, **kwargs):
            jax.debug.callback(note, jax.random.key_data(key))
            return draw(key, *args, **kwargs)

        return recording

    for name in CONSUMERS:
        monkeypatch.setattr(jax.random, name, recorded(name, getattr(jax.random, name)))
    return drawn
