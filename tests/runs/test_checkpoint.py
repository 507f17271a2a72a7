"""A checkpoint's checksum sees every bit of every array, and where it stands."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_notes.runs.checksum import checksum

BASE = {
    "a": np.arange(1, 7, dtype=np.float32).reshape(2, 3),
    "b": np.linspace(-1, 1, 6, dtype=np.float32).reshape(3, 2),
    "count": np.int32(3),
}


def changed(**leaves):
    return int(checksum({name: jnp.asarray(x) for name, x in (BASE | leaves).items()}))


def swapped(x, i, j):
    x = x.copy()
    x.flat[i], x.flat[j] = x.flat[j], x.flat[i]
    return x


@pytest.mark.parametrize(
    "leaves",
    [
        {"a": swapped(BASE["a"], 0, 1)},
        {"a": swapped(BASE["a"], 2, 3)},  # across rows
        {"b": swapped(BASE["b"], 0, 5)},  # −1 and 1, whose bits differ in the sign only
        {"b": swapped(BASE["b"], 1, 4)},
        {"a": BASE["a"][::-1]},
        {"a": BASE["a"][:, ::-1]},
        {"a": BASE["a"].T.reshape(2, 3)},
        {"a": BASE["b"].reshape(2, 3), "b": BASE["a"].reshape(3, 2)},
        {"a": swapped(BASE["a"], 0, 0) + np.eye(2, 3, dtype=np.float32)},
        {"count": np.int32(4)},
    ],
    ids=[
        *(
            "two in a row",
            "two of two rows",
            "two signs",
            "two more signs",
            "rows",
            "columns",
            "axes",
            "leaves",
        ),
        *("values", "count"),
    ],
)
def test_what_stands_elsewhere_is_another(leaves):
    assert changed(**leaves) != changed()


def test_the_same_arrays_have_the_same():
    assert changed() == changed(**{name: np.array(x) for name, x in BASE.items()})


def bits(*patterns, kind=np.float32):
    return np.array(patterns, np.uint32).view(kind)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (0x00000000, 0x80000000),  # 0 and −0
        (0x7FC00000, 0x7FC00001),  # NaNs of other payloads
        (0x7FC00000, 0xFFC00000),  # and signs
        (0x3F800000, 0x3F800001),  # 1 and the next number
        (0x00000000, 0x00000001),  # 0 and the smallest
    ],
)
def test_numbers_that_compare_as_equal_or_as_nothing_differ_by_their_bits(one, other):
    both = [changed(a=bits(one, 0x3F800000)), changed(a=bits(other, 0x3F800000))]
    assert both[0] != both[1]


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "float16", "bfloat16", "int32"])
def test_each_bit_of_each_element_counts(dtype):
    kind = jnp.dtype(dtype)
    if dtype == "bool":
        sums = {int(checksum([jnp.array(x)])) for x in ([0, 0], [0, 1], [1, 0], [1, 1])}
        assert len(sums) == 4
        return
    width = kind.itemsize * 8
    unsigned = np.dtype(f"uint{width}")
    patterns = np.zeros((3 * width + 1, 3), unsigned)
    for i in range(3):
        patterns[i * width : (i + 1) * width, i] = 1 << np.arange(width, dtype=np.uint64)
    sums = {int(checksum([jnp.asarray(row.view(kind))])) for row in patterns}
    assert len(sums) == len(patterns)
