"""The trees of parameters that `update_step` updates: shapes only. Needs neither JAX nor torch."""

import math
from collections.abc import Iterator

Shape = tuple[int, ...]


def cnn() -> list[Shape]:
    """The notes' CNN: 0.42 M parameters in 8 leaves."""
    return [(3, 3, 1, 32), (32,), (3, 3, 32, 64), (64,), *_dense(3136, 128), *_dense(128, 10)]


def mlp() -> list[Shape]:
    """A multi-layer perceptron: 10 M parameters in 6 leaves."""
    return [*_dense(784, 2800), *_dense(2800, 2800), *_dense(2800, 10)]


def resnet50() -> list[Shape]:
    """Like ResNet-50: 25.6 M parameters in 161 leaves, each convolution with its normalisation."""
    return list(_resnet50())


def _resnet50() -> Iterator[Shape]:
    def convolution(size: int, channels: int, out: int) -> Iterator[Shape]:
        yield from ((size, size, channels, out), (out,), (out,))

    yield from convolution(7, 3, 64)
    channels = 64
    for width, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for block in range(blocks):
            yield from convolution(1, channels, width)
            yield from convolution(3, width, width)
            yield from convolution(1, width, 4 * width)
            if block == 0:
                yield from convolution(1, channels, 4 * width)
            channels = 4 * width
    yield from _dense(2048, 1000)


def gpt2() -> list[Shape]:
    """Like GPT-2 small: 124 M parameters in 148 leaves."""
    width = 768
    norm: list[Shape] = [(width,), (width,)]
    attention = [*_dense(width, 3 * width), *_dense(width, width)]
    feed_forward = [*_dense(width, 4 * width), *_dense(4 * width, width)]
    layer = [*norm, *attention, *norm, *feed_forward]
    return [(50257, width), (1024, width), *(12 * layer), *norm]


def thousand() -> list[Shape]:
    """1,000 leaves of 1,000 elements."""
    return [(1000,)] * 1000


def mixed() -> list[Shape]:
    """12 leaves of a million elements among 300 small leaves, 12.7 M elements in total."""
    small: list[Shape] = [(64,), (256,), (1024,)]
    return [*([(1024, 1024), *(small * 8), (256,)] * 12)]


def _dense(inputs: int, outputs: int) -> list[Shape]:
    return [(inputs, outputs), (outputs,)]


TREES = {
    "cnn": cnn,
    "mlp-10m": mlp,
    "resnet50-like": resnet50,
    "gpt2-small-like": gpt2,
    "1000-leaves": thousand,
    "mixed": mixed,
}


def elements(name: str) -> int:
    """The number of parameters in a tree.

    >>> [elements(name) for name in ("cnn", "resnet50-like", "gpt2-small-like", "1000-leaves")]
    [421642, 25557032, 124439808, 1000000]
    """
    return sum(math.prod(shape) for shape in TREES[name]())


# Bytes of float32 that must move for each parameter: the rule reads gradient, parameter and slots,
# and writes parameter and slots.
BYTES = {"sgd-momentum": 20, "adagrad": 20, "rmsprop": 20, "adam": 28, "adamw": 28}
