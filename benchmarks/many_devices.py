"""`python -m benchmarks.many_devices`: reads the compiled program of a shared step.

The step is compiled for virtual CPU devices and not run. The benchmark reports the number of
collectives, the memory of each device, and the time that compiling takes.
"""

import argparse
import collections
import os
import re
import time
from collections.abc import Sequence
from typing import Any

from benchmarks import machine, report
from benchmarks.command import benchmark_parser, guarded, out_folder, whole_number
from jaxopt_notes import files
from jaxopt_notes.command import run_as_process

BATCH = 64
NETWORKS = {
    "mlp": {"model": "mlp"},
    "mlp, batch norm": {"model": "mlp", "norm": "batch"},
    "cnn": {"model": "cnn"},
}
HOW = (
    "Each row is the program that the training command compiles for a loop of Adam steps, "
    "with batch 64 over all devices. Collectives: operations in the program, which holds one "
    "step. Memory: XLA's figures for one device; state and data: the program's arguments, with "
    "10,000 MNIST images."
)
_COLLECTIVE = re.compile(
    r"= .*? (all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)(?:-start)?\("
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = benchmark_parser("many_devices", "Count collectives and memory per device.")
    parser.add_argument(
        "--devices", type=int, default=8, metavar="N", help="number of virtual devices (default: 8)"
    )
    return guarded(parser, argv, _run)


def _run(args: argparse.Namespace) -> None:
    devices, out = whole_number("--devices", args.devices, least=2), out_folder(args)
    here = machine.facts()
    flags = os.environ.get("XLA_FLAGS", "")
    os.environ["XLA_FLAGS"] = f"{flags} --xla_force_host_platform_device_count={devices}"
    os.environ["JAX_PLATFORMS"] = "cpu"
    names = ["mlp"] if args.quick else list(NETWORKS)
    programs = [
        compiled(name, size, cut)
        for name in names
        for size, cut in ((1, False), (devices, False), (devices, True))
    ]
    columns = ["network", "devices", "optimizer state", "collectives", "state and data, MB"]
    columns += ["temporary, MB", "optimizer state, MB", "to compile, CPU s"]
    print(machine.header(here))
    print(f"\n{report.table(columns, [_row(each) for each in programs])}\n\n{HOW}")
    path = out / machine.folder_name(here) / "many_devices.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_json(path, {"machine": here, "how": HOW, "programs": programs})
    print(path)


def compiled(name: str, devices: int, cut: bool) -> dict[str, Any]:
    """Compiles a stretch of a network's training for `devices` devices and reads the program."""
    import jax
    import numpy as np
    from flax import nnx

    from jaxopt_notes import adam
    from jaxopt_notes.models import CNN, MLP, pure
    from jaxopt_notes.training.loop import compile_stretch
    from jaxopt_notes.training.sharding import make_layout
    from jaxopt_notes.training.state import create
    from jaxopt_notes.training.step import Normalization, make_train_step

    jax.config.update("jax_enable_compilation_cache", False)
    layout = make_layout(devices, BATCH, cut)
    kind: Any = {"cnn": CNN, "mlp": MLP}[NETWORKS[name]["model"]]
    model = pure(kind(nnx.Rngs(0), norm=NETWORKS[name].get("norm", "none")))
    optimizer = layout.optimizer(adam(1e-3))
    state = layout.place(create(model, optimizer, jax.random.key(0)))
    images, labels = np.zeros((10_000, 28, 28, 1), np.uint8), np.zeros(10_000, np.int32)
    held = sum(x.addressable_shards[0].data.nbytes for x in jax.tree.leaves(state))
    order = np.arange(156 * BATCH, dtype=np.int32).reshape(156, BATCH)
    batches = layout.epoch(layout.hold(images, labels), order)
    step = make_train_step(model, optimizer, Normalization((0.1,), (0.3,)), shift_by=2)
    start = time.process_time()
    stretch: Any = compile_stretch(step, state, *batches, layout=layout)
    seconds = time.process_time() - start
    memory = stretch.memory_analysis()
    return {
        "network": name,
        "devices": devices,
        "optimizer_state_cut": cut,
        "collectives": dict(collections.Counter(_COLLECTIVE.findall(stretch.as_text()))),
        "arguments": memory.argument_size_in_bytes,
        "donated": memory.alias_size_in_bytes,
        "state": held,
        "temporary": memory.temp_size_in_bytes,
        "optimizer_state": layout.memory(state.opt_state)["optimizer_state"],
        "compile_cpu_seconds": seconds,
    }


def _row(program: dict[str, Any]) -> list[str]:
    return [
        program["network"],
        str(program["devices"]),
        "cut" if program["optimizer_state_cut"] else "whole",
        ", ".join(f"{n} {name}" for name, n in program["collectives"].items()) or "none",
        *(f"{program[part] / 1e6:.2f}" for part in ("arguments", "temporary", "optimizer_state")),
        f"{program['compile_cpu_seconds']:.1f}",
    ]


if __name__ == "__main__":
    run_as_process(main)
