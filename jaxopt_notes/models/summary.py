"""A network layer by layer: shape, parameters and operations, all counted from its trace.

Each layer is traced on an abstract image. Its operations are the multiply-adds of the convolutions
and dots in the trace. Elementwise operations are far fewer and are not counted.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxopt_notes.models.functional import parameter_count


class Row(NamedTuple):
    """A layer: its name, its output shape (without the batch), its parameters, its operations.

    `multiply_adds` is the number for one image.
    """

    name: str
    shape: tuple[int, ...]
    parameters: int
    multiply_adds: int


def summarize(network: Any) -> list[Row]:
    """A row for the image, then a row for each layer of a `CNN` or an `MLP`.

    Args:
      network: it is not changed. Its arrays may be shapes only.

    >>> from jaxopt_notes.models import CNN
    >>> network = nnx.eval_shape(lambda: CNN(nnx.Rngs(0)))
    >>> for row in summarize(network)[-2:]:
    ...     print(row.name, row.shape, row.parameters, row.multiply_adds)
    relu (128,) 0 0
    dense 10 (10,) 1290 1280
    """
    network = nnx.clone(network)
    nnx.update(network, jax.tree.map(_known, nnx.state(network)))
    network.eval()
    x = jax.ShapeDtypeStruct((1, *network.image_shape), jnp.float32)
    rows = [Row("image", network.image_shape, 0, 0)]
    for name, apply in network.layers():
        traced, x = jax.make_jaxpr(apply, return_shape=True)(x)
        held = nnx.state(apply, nnx.Param) if isinstance(apply, nnx.Module) else {}
        rows.append(Row(name, x.shape[1:], parameter_count(held), _multiply_adds(traced.jaxpr)))
    return rows


def summary_text(rows: Sequence[Row]) -> str:
    """The rows as a table, with sums below.

    >>> from jaxopt_notes.models import MLP
    >>> print(summary_text(summarize(MLP(nnx.Rngs(0), (8, 8, 1), widths=(16,)))))
    layer         shape    parameters   multiply-adds
    image     8 × 8 × 1
    flatten          64
    dense 16         16         1,040           1,024
    relu             16
    dense 10         10           170             160
    total                       1,210           1,184
    """
    total = Row("total", (), sum(r.parameters for r in rows), sum(r.multiply_adds for r in rows))
    cells: list[tuple[str, ...]] = [("layer", "shape", "parameters", "multiply-adds")]
    for row in (*rows, total):
        counts = [f"{n:,}" if n else "" for n in (row.parameters, row.multiply_adds)]
        cells.append((row.name, " × ".join(map(str, row.shape)), *counts))
    names, *numbers = [max(map(len, column)) for column in zip(*cells)]
    lines = [
        f"{name:{names}}" + "".join(f"   {cell:>{width}}" for cell, width in zip(rest, numbers))
        for name, *rest in cells
    ]
    return "\n".join(line.rstrip() for line in lines)


def _known(x: Any) -> Any:
    """The array, or zeros in place of a mere shape."""
    return np.zeros(x.shape, x.dtype) if isinstance(x, jax.ShapeDtypeStruct) else x


def _multiply_adds(jaxpr: Any) -> int:
    count = 0
    for eqn in jaxpr.eqns:
        if eqn.primitive.name == "conv_general_dilated":
            kernel = eqn.invars[1].aval
            out = eqn.params["dimension_numbers"].rhs_spec[0]
            count += eqn.outvars[0].aval.size * (kernel.size // kernel.shape[out])
        elif eqn.primitive.name == "dot_general":
            (contracted, _), _ = eqn.params["dimension_numbers"]
            left = eqn.invars[0].aval.shape
            count += eqn.outvars[0].aval.size * math.prod(left[axis] for axis in contracted)
        count += sum(_multiply_adds(inner) for inner in _inner(eqn.params))
    return count


def _inner(params: dict[str, Any]) -> Iterator[Any]:
    """The jaxprs that an equation calls, such as the jaxpr of a jitted function."""
    for value in params.values():
        inner = getattr(value, "jaxpr", value)
        if hasattr(inner, "eqns"):
            yield inner
