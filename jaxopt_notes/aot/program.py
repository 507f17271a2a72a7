"""Reads a compiled program's text: its operations, and the bytes that each moves.

On a GPU each operation launches a kernel or a copy. An operation's bytes are those of its operands
and results; where a fusion only slices or gathers from an operand, only those parts count. Bytes
divided by memory bandwidth are the least time, unless caches serve some of the bytes.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

# Operations that name, group or pass on memory, and do no work at run time.
FREE = {
    *("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "while", "after-all"),
    *("partition-id", "replica-id", "opt-barrier", "optimization-barrier"),
}
_SIZES = {"pred": 1, "u8": 1, "s8": 1, "bf16": 2, "f16": 2, "u16": 2, "s16": 2, "f32": 4}
_SIZES |= {"u32": 4, "s32": 4, "f64": 8, "u64": 8, "s64": 8}
_ARRAY = re.compile(r"\b([a-z]+\d*)\[([\d,]*)\](?:\{([\d,]*)(?::([^{}]*))?\})?")
_LINE = re.compile(r"^\s*(ROOT )?%(\S+) = (\(.*?\)|\S+) ([\w\-]+)\((.*)$")
_PARTS = {"dynamic-slice", "slice", "gather"}


class Operation(NamedTuple):
    """One operation of a program.

    Attributes:
      kind: "fusion", "copy", "cuDNN", "matrix product", "all-reduce", …
      name: its name in the program.
      source: its name in the traced program; empty where the compiler added it.
      bytes: the bytes that it reads and writes.
    """

    kind: str
    name: str
    source: str
    bytes: int


class _Instruction(NamedTuple):
    name: str
    shape: str
    opcode: str
    operands: list[str]
    line: str


def operations(program: str, loop: bool = False) -> list[Operation]:
    """The operations in a compiled program's entry, or in the body of its first loop.

    >>> [op.kind for op in operations(EXAMPLE)], operations(EXAMPLE)[0].bytes
    (['copy'], 24)
    """
    bodies = _computations(program)
    where = re.search(r" while\(.*body=%([\w.\-]+)", program) if loop else None
    body = bodies[where[1]] if where else bodies["ENTRY"]
    shapes = {x.name: x.shape for x in body}
    return [
        Operation(_kind(x), x.name, _source(x.line), _moved(x, shapes, bodies))
        for x in body
        if x.opcode not in FREE and not x.opcode.endswith("-done")
    ]


def trip_count(program: str) -> int | None:
    """The trip count of the program's first loop; None where the compiler does not know it."""
    known = re.search(r'" ?known_trip_count":\{"n":"(\d+)"\}', program.replace("\\", ""))
    return int(known[1]) if known else None


def by_kind(operations: Iterable[Operation]) -> dict[str, tuple[int, int]]:
    """Kind → the number of operations, and the bytes that they move together."""
    count: Counter[str] = Counter()
    moved: Counter[str] = Counter()
    for op in operations:
        count[op.kind] += 1
        moved[op.kind] += op.bytes
    return {kind: (n, moved[kind]) for kind, n in count.most_common()}


def padding(program: str) -> tuple[int, int]:
    """Bytes of the results in an entry, without and with the padding of a TPU's tiled layouts.

    >>> padding("ENTRY %f () -> f32[3] {\\n  %a = f32[3]{0:T(128)} add(%b, %c)\\n}")
    (12, 512)
    """
    plain = tiled = 0
    for x in _computations(program)["ENTRY"]:
        if x.opcode not in FREE and not x.opcode.endswith("-start"):
            for array in _ARRAY.finditer(x.shape):
                plain += _bytes(array)
                tiled += _bytes(array, tiled=True)
    return plain, tiled


def _computations(program: str) -> dict[str, list[_Instruction]]:
    bodies: dict[str, list[_Instruction]] = {}
    for entry, name, body in re.findall(
        r"^(ENTRY )?%?([\w.\-]+) \(.*?\{\n(.*?)^\}", program, re.MULTILINE | re.DOTALL
    ):
        bodies["ENTRY" if entry else name] = [
            _Instruction(m[2], m[3], m[4], re.findall(r"%([\w.\-]+)", _arguments(m[5])), line)
            for line in body.splitlines()
            if (m := _LINE.match(line))
        ]
    return bodies


def _arguments(rest: str) -> str:
    """The text in the parentheses of `op(…), attributes`."""
    depth = 1
    for i, letter in enumerate(rest):
        depth += (letter == "(") - (letter == ")")
        if not depth:
            return rest[:i]
    return rest


def _kind(x: _Instruction) -> str:
    if target := re.search(r'custom_call_target="([^"]*)"', x.line):
        names = {"__cudnn": "cuDNN", "__cublas": "cuBLAS"}
        return next(
            (name for start, name in names.items() if target[1].startswith(start)), target[1]
        )
    if x.opcode == "fusion":
        product = "gemm" in x.name or "convolution" in x.name
        return "fused matrix product" if product else "fusion"
    scalar = x.shape.endswith("[]") and x.opcode != "copy"
    return "on scalars" if scalar else x.opcode.removesuffix("-start")


def _source(line: str) -> str:
    match = re.search(r'op_name="([^"]*)"', line)
    return match[1] if match else ""


def _moved(x: _Instruction, shapes: dict[str, str], bodies: dict[str, list[_Instruction]]) -> int:
    called = re.search(r" calls=%([\w.\-]+)", x.line)
    inside = bodies.get(called[1], []) if called else []
    read = 0
    for i, operand in enumerate(x.operands):
        whole = _size(shapes.get(operand, ""))
        read += min(whole, _part(inside, i) or whole)
    return read + _size(x.shape)


def _part(inside: list[_Instruction], i: int) -> int:
    """Bytes of the parts of its i-th operand that a fusion reads; 0 where it reads the whole."""
    number = f"parameter({i})"
    name = next((x.name for x in inside if x.opcode == "parameter" and number in x.line), None)
    users = [x for x in inside if name in x.operands]
    sliced = users and all(x.opcode in _PARTS and x.operands[0] == name for x in users)
    return sum(_size(x.shape) for x in users) if sliced else 0


def _size(shape: str) -> int:
    return sum(map(_bytes, _ARRAY.finditer(shape)))


def _bytes(array: re.Match[str], tiled: bool = False) -> int:
    kind, dims, order, layout = array.groups()
    sizes = [int(n) for n in dims.split(",") if n]
    tile = re.match(r"T\(([\d,]+)\)", layout or "") if tiled else None
    if tile and order:
        # The layout's first axis varies fastest; a tile covers the last few of them.
        for axis, step in zip(order.split(","), reversed(tile[1].split(","))):
            sizes[int(axis)] = -(-sizes[int(axis)] // int(step)) * int(step)
    return math.prod(sizes) * _SIZES.get(kind, 4)


EXAMPLE = """HloModule f
ENTRY %main.1 (x: f32[3]) -> f32[3] {
  %x = f32[3]{0} parameter(0)
  ROOT %copy.1 = f32[3]{0} copy(%x)
}
"""
