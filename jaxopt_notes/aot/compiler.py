"""Compiles the training step for hardware that need not be here, and reads the compiled program.

Each device keeps the state and takes its part of the batch (see `training/sharding.py`). A step
should then reuse its state's memory for the next state (every buffer aliased). It should send only
one sum of all gradients (one all-reduce; none on one device). Batch statistics and a divided
optimizer state need more.
"""

import re
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxopt_notes.aot import program, targets
from jaxopt_notes.aot.targets import Memory, Target
from jaxopt_notes.errors import InputError, first_line
from jaxopt_notes.models import PureModel
from jaxopt_notes.models.sharding import BATCH_AXIS
from jaxopt_notes.training.loop import loop_of_length, one_step
from jaxopt_notes.training.progress import zero_sums
from jaxopt_notes.training.sharding import Layout, check_batch_size
from jaxopt_notes.training.state import TrainState, create
from jaxopt_notes.training.step import Batch, Normalization, make_train_step

COLLECTIVES = (
    "all-reduce",
    "all-gather",
    "reduce-scatter",
    "all-to-all",
    "collective-permute",
    "collective-broadcast",
)
# Pixels are 0 … 1. MNIST's mean and standard deviation are rounded, because constants do not affect
# the program.
NORMALIZE = Normalization((0.13,), (0.31,))


LENGTH = 16  # steps of a GPU's stretch; a multiple of the steps in one turn of the loop
EXAMPLES = 60_000  # in the stretch's training set, as in MNIST


class Reading(NamedTuple):
    """The work of a step, read from a compiled program.

    Attributes:
      kinds: kind of operation to their number in a step, and the bytes that they move.
      operations: the number of operations in a step. On a GPU each is a launch.
      moved: bytes that all operations move.
      seconds: the least time for these bytes at the device's memory bandwidth; None on a CPU.

    >>> reading = Reading({"fusion": (3.0, 4e6)}, operations=3.0, moved=4e6, seconds=1.2e-6)
    >>> reading.kinds["fusion"]
    (3.0, 4000000.0)
    """

    kinds: dict[str, tuple[float, float]]
    operations: float
    moved: float
    seconds: float | None


class Report(NamedTuple):
    """The result of compiling a step for a target. Bytes are those of one device.

    Attributes:
      target: the target's name.
      device_kind: the device's own name.
      devices: the number of devices that share the step.
      seconds: how long compiling took on this machine.
      donated: the number of the state's arrays, whose memory the step may reuse.
      aliased: the number of donated arrays that the new state overwrites.
      collectives: kind to number in the program; kinds without any are left out.
      arguments, outputs, temporaries: bytes held by the step.
      aliased_bytes: bytes of outputs that overwrite arguments.
      needed: arguments + outputs − aliased + temporaries.
      memory: the memory of a device.
      flops: of a step on all devices together, counted before the compiler's changes.
      step: the work of one device in a step that is a program by itself.
      stretch: its work in each step of a loop, as training runs it; on one GPU only.
      padding: bytes of the step's results, without and with the padding of a TPU's tiled layouts.
      programs: the compiled programs as text, by name.

    >>> from jaxopt_notes.aot.targets import memory, parse
    >>> memory = memory(parse("cuda:h100"))
    >>> reading = Reading({"fusion": (3.0, 4e6)}, 3.0, 4e6, 1.2e-6)
    >>> report = Report(
    ...     "cuda:h100", "NVIDIA H100", 1, 2.0, 8, 8, {}, 4_000, 4_000, 1_000, 4_000, 5_000,
    ...     memory, 10**6, reading, None, (0, 0), {}
    ... )
    >>> report.fits, report.sound
    (True, True)
    """

    target: str
    device_kind: str
    devices: int
    seconds: float
    donated: int
    aliased: int
    collectives: dict[str, int]
    arguments: int
    outputs: int
    temporaries: int
    aliased_bytes: int
    needed: int
    memory: Memory
    flops: int
    step: Reading
    stretch: Reading | None
    padding: tuple[int, int]
    programs: dict[str, str]

    @property
    def fits(self) -> bool:
        """Whether the step fits into a device's memory."""
        return self.needed <= self.memory.size

    @property
    def sound(self) -> bool:
        """Whether the step fits, and reuses all donated memory."""
        return self.fits and self.aliased == self.donated

    def as_json(self) -> dict[str, Any]:
        """The whole report as a JSON value."""
        own = {"memory": self.memory._asdict(), "fits": self.fits, "sound": self.sound}
        read = {
            name: r and r._asdict() for name, r in (("step", self.step), ("stretch", self.stretch))
        }
        whole = self._asdict() | own | read
        return {name: value for name, value in whole.items() if name != "programs"}


def compile_for(
    target: Target,
    devices: Sequence[Any],
    model: PureModel,
    optimizer: optax.GradientTransformation,
    image_shape: tuple[int, ...],
    batch_size: int,
    shard_optimizer_state: bool = False,
) -> Report:
    """Compiles a training step for a target.

    Args:
      target: from `targets.parse`.
      devices: from `targets.devices`.
      model: the network.
      optimizer: the network's optimizer.
      image_shape: (height, width, channels).
      batch_size: of all devices together.
      shard_optimizer_state: divide the optimizer's state among the devices.

    Raises:
      InputError: the devices do not divide the batch, or the compiler refuses the program (for
        example, because it is too large for the device).

    >>> from flax import nnx
    >>> from jaxopt_notes.aot.targets import devices, parse
    >>> from jaxopt_notes.models import MLP, pure
    >>> target, model = parse("cpu"), pure(MLP(nnx.Rngs(0), (4, 4, 1), widths=(4,)))
    >>> here, shape = devices(target), (4, 4, 1)
    >>> report = compile_for(target, here, model, optax.sgd(0.1), shape, batch_size=8)
    >>> report.sound, report.collectives
    (True, {})
    """
    check_batch_size(batch_size, len(devices))
    mesh = Mesh(np.array(devices), (BATCH_AXIS,), axis_types=(AxisType.Auto,))
    layout = Layout(mesh, shard_optimizer_state)
    state, batch = _shapes(model, optimizer, (batch_size, *image_shape))
    start = time.perf_counter()
    compiled = _compile(target, layout, model, optimizer, state, batch)
    seconds = time.perf_counter() - start
    text: Any = compiled.as_text()
    programs = {"step": text}
    if target.platform == "cuda" and len(devices) == 1:
        programs["stretch"] = _stretch(layout, model, optimizer, state, batch)
    held: Any = compiled.memory_analysis()
    arguments, outputs = held.argument_size_in_bytes, held.output_size_in_bytes
    temporaries, aliased_bytes = held.temp_size_in_bytes, held.alias_size_in_bytes
    return Report(
        target=target.name,
        device_kind=devices[0].device_kind,
        devices=len(devices),
        seconds=round(seconds, 2),
        donated=len(jax.tree.leaves(state)),
        aliased=count_aliased(text),
        collectives=count_collectives(text),
        arguments=arguments,
        outputs=outputs,
        temporaries=temporaries,
        aliased_bytes=aliased_bytes,
        needed=arguments + outputs - aliased_bytes + temporaries,
        memory=targets.memory(target),
        flops=_flops(target, model, optimizer, state, batch),
        step=_read(target, program.operations(text), 1),
        stretch=_read_loop(target, programs["stretch"]) if "stretch" in programs else None,
        padding=program.padding(text),
        programs=programs,
    )


def _read(target: Target, operations: list[program.Operation], steps: int) -> Reading:
    kinds = {
        kind: (count / steps, moved / steps)
        for kind, (count, moved) in program.by_kind(operations).items()
    }
    moved = sum(op.bytes for op in operations) / steps
    bandwidth = targets.bandwidth(target)
    return Reading(kinds, len(operations) / steps, moved, bandwidth and moved / bandwidth)


def _read_loop(target: Target, text: str) -> Reading:
    turns = program.trip_count(text)
    assert turns is not None, "the compiler does not know the length of a loop of fixed length"
    return _read(target, program.operations(text, loop=True), LENGTH // turns)


def _shapes(
    model: PureModel, optimizer: optax.GradientTransformation, images: tuple[int, ...]
) -> tuple[TrainState, Batch]:
    def make() -> tuple[TrainState, Batch]:
        state = create(model, optimizer, jax.random.key(0))
        return state, Batch(jnp.zeros(images, jnp.uint8), jnp.zeros(images[:1], jnp.int32))

    return jax.eval_shape(make)


def _compile(
    target: Target,
    layout: Layout,
    model: PureModel,
    optimizer: optax.GradientTransformation,
    state: TrainState,
    batch: Batch,
) -> jax.stages.Compiled:
    assert layout.mesh is not None
    cut = NamedSharding(layout.mesh, PartitionSpec(BATCH_AXIS))
    step = jax.jit(
        make_train_step(model, layout.optimizer(optimizer), NORMALIZE, shift_by=2),
        in_shardings=(layout.shardings(state), cut),
        donate_argnums=0,
        **layout.step_shardings(state),
    )
    with layout.context():
        lowered = step.lower(state, batch)
    try:
        return lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        message = f"--target {target.name}: does not compile: {first_line(error)}"
        raise InputError(message) from error


def _stretch(
    layout: Layout,
    model: PureModel,
    optimizer: optax.GradientTransformation,
    state: TrainState,
    batch: Batch,
) -> str:
    """The compiled program of `LENGTH` steps of an epoch."""
    assert layout.mesh is not None
    size = len(batch.labels)
    data = jax.tree.map(lambda x: jax.ShapeDtypeStruct((EXAMPLES, *x.shape[1:]), x.dtype), batch)
    order = jax.ShapeDtypeStruct((EXAMPLES // size, size), jnp.int32)
    sums = jax.eval_shape(lambda: jax.tree.map(jnp.asarray, zero_sums()))
    one = one_step(make_train_step(model, optimizer, NORMALIZE, shift_by=2), "stop", Layout())
    whole = NamedSharding(layout.mesh, PartitionSpec())
    many = jax.jit(
        loop_of_length(one, LENGTH), in_shardings=whole, out_shardings=whole, donate_argnums=0
    )
    with layout.context():
        lowered = many.lower(state, sums, data, order, jax.ShapeDtypeStruct((), jnp.int32))
    return lowered.compile().as_text() or ""


def _flops(target: Target, model: Any, optimizer: Any, state: TrainState, batch: Batch) -> int:
    step = jax.jit(make_train_step(model, optimizer, NORMALIZE, shift_by=2))
    lowered = step.trace(state, batch).lower(lowering_platforms=(target.platform,))
    return int(lowered.cost_analysis()["flops"])


def count_aliased(program: str) -> int:
    """The number of outputs of a compiled program that reuse an argument's memory.

    >>> count_aliased("HloModule f, input_output_alias={ {0}: (1, {}, may-alias) }, x={...}")
    1
    """
    match = re.search(r"input_output_alias=\{((?: \{[\d, ]*\}: \([^)]*\),?)*) \}", program)
    return match[1].count("alias)") if match else 0


def count_collectives(program: str) -> dict[str, int]:
    """The collectives in a compiled program's text: kind to count, without absent kinds.

    An asynchronous collective is counted at its start.

    >>> count_collectives("%a = f32[] all-reduce-start(%b)  %c = f32[] all-reduce-done(%a)")
    {'all-reduce': 1}
    """
    counts = {
        kind: len(re.findall(rf"[\s)}}\]] ?{kind}(?:-start)?\(", program)) for kind in COLLECTIVES
    }
    return {kind: count for kind, count in counts.items() if count}


def text(report: Report) -> str:
    """The report as text for people.

    >>> from flax import nnx
    >>> from jaxopt_notes.aot.targets import devices, parse
    >>> from jaxopt_notes.models import MLP, pure
    >>> target, model = parse("cpu"), pure(MLP(nnx.Rngs(0), (4, 4, 1), widths=(4,)))
    >>> here, shape = devices(target), (4, 4, 1)
    >>> report = compile_for(target, here, model, optax.sgd(0.1), shape, batch_size=8)
    >>> print(text(report).splitlines()[0])
    target           cpu (cpu)
    """
    several = "" if report.devices == 1 else f"{report.devices} × "
    sent = ", ".join(f"{count} {kind}" for kind, count in report.collectives.items()) or "none"
    fits = "fits" if report.fits else "DOES NOT FIT"
    lines = {
        "target": f"{report.target} ({several}{report.device_kind})",
        "compiles": f"yes, in {report.seconds:.1f} s",
        "donated buffers": f"{report.aliased} of {report.donated} aliased",
        "collectives": f"{sent} a step",
        "memory per device": f"{_mb(report.needed)} needed: arguments {_mb(report.arguments)}, "
        f"outputs {_mb(report.outputs)} (aliased {_mb(report.aliased_bytes)}), "
        f"temporaries {_mb(report.temporaries)}",
        "": f"{fits} in {report.memory.size / targets.GB:.3g} GB ({report.memory.source})",
        "arithmetic": f"{report.flops / 1e9:.3g} Gflop per step over all devices"
        f"{_precision(report)}",
    }
    plain, tiled = report.padding
    if tiled > plain:
        lines["padding"] = f"tiled layouts make {_mb(tiled)} of {_mb(plain)} of results"
    lines["a step alone"] = _reading(report.step, "launches" if _on_gpu(report) else "operations")
    if report.stretch:
        lines["a looped step"] = _reading(report.stretch, "launches")
    return "\n".join(f"{name:15}  {value}" for name, value in lines.items())


def _on_gpu(report: Report) -> bool:
    return report.target.startswith("cuda")


def _precision(report: Report) -> str:
    """The precision of float32 matrix products and convolutions, where it is not float32."""
    rounded = {"cuda": "TF32", "tpu": "bfloat16"}.get(report.target.partition(":")[0])
    if rounded is None or "operand_precision={highest" in report.programs["step"]:
        return ""
    return (
        f"; products and convolutions may round inputs to {rounded} "
        "(for float32: JAX_DEFAULT_MATMUL_PRECISION=highest)"
    )


def _reading(reading: Reading, noun: str) -> str:
    """A reading as several lines of text."""
    least = f", {reading.seconds * 1e6:.0f} µs at full bandwidth" if reading.seconds else ""
    lines = [f"{reading.operations:g} {noun}, {_mb(reading.moved)} moved{least}"]
    lines += [f"{n:5g} {kind}, {_mb(moved)}" for kind, (n, moved) in reading.kinds.items()]
    return f"\n{'':17}".join(lines)


def _mb(size: float) -> str:
    return f"{size / 1e6:.1f} MB"
