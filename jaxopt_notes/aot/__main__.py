"""`python -m jaxopt_notes.aot`: compiles the training step for hardware that need not be here."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from jaxopt_notes import files
from jaxopt_notes.aot import targets
from jaxopt_notes.command import OneLineParser, exit_code, run_as_process
from jaxopt_notes.config.options import add_rows, asked_in
from jaxopt_notes.config.settings import Settings, resolve
from jaxopt_notes.errors import InputError, first_line
from jaxopt_notes.extras import require
from jaxopt_notes.places import Place
from jaxopt_notes.runtime import start
from jaxopt_notes.runtime.host import set_jax

IMAGE_SHAPE, CLASSES = (28, 28, 1), 10  # MNIST's
STEPS = 1000  # of the schedule; the number does not affect the program's shape


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = OneLineParser(
        prog="python -m jaxopt_notes.aot",
        description="Compile the training step ahead of time, also for hardware that you do not "
        "have. Report whether donated buffers are aliased, what the devices send to each other, "
        "whether the step fits in memory, and its operations.",
    )
    parser.add_argument(
        "--target",
        required=True,
        metavar="NAME",
        help=f"hardware to compile for, such as {targets.EXAMPLES}",
    )
    names = ("model", "norm", "optimizer", "batch_size", "shard_optimizer_state")
    add_rows(parser, parser, names)
    parser.add_argument(
        "--hlo",
        action=Place,
        metavar="FOLDER",
        help="write the compiled programs as text into this folder",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns 0, 1 if a check of the step fails, or 2 for invalid input."""
    return exit_code(lambda: _compile(build_parser().parse_args(argv)))


def _compile(args: argparse.Namespace) -> int:
    target = targets.parse(args.target)
    config = resolve(asked_in(args), examples=STEPS * 64)
    require("aot", "train", "flax")
    return _report(target, config, args.json, args.hlo)


def _report(target: targets.Target, config: Settings, as_json: bool, hlo: str | None) -> int:
    start.import_jax()
    set_jax("jax_platforms", "cpu")  # leave accelerators of this machine alone
    set_jax("jax_enable_compilation_cache", False)  # compile, do not load

    from jaxopt_notes.aot import compiler
    from jaxopt_notes.models import pure
    from jaxopt_notes.training.network import build_network
    from jaxopt_notes.training.setup import build_optimizer

    devices = targets.devices(target)
    report = compiler.compile_for(
        target,
        devices,
        pure(build_network(config, IMAGE_SHAPE, CLASSES)),
        build_optimizer(config, STEPS),
        IMAGE_SHAPE,
        config.batch_size,
        config.shard_optimizer_state,
    )
    if hlo is not None:
        _write(report.programs, Path(hlo))
    print(json.dumps(report.as_json()) if as_json else compiler.text(report))
    return 0 if report.sound else 1


def _write(programs: dict[str, str], folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in programs.items():
            files.write_text(folder / f"{name}.txt", text)
    except OSError as error:
        raise InputError(
            f"--hlo {folder}: cannot be written ({first_line(error)}); pass another folder"
        ) from error


if __name__ == "__main__":
    run_as_process(main)
