"""`python -m jaxopt_notes.export`: writes a trained network as one file that runs on its own."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from jaxopt_notes.command import OneLineParser, add_run, exit_code, run_as_process
from jaxopt_notes.extras import require
from jaxopt_notes.places import Place
from jaxopt_notes.runtime import start

ONNX = ".onnx"


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = OneLineParser(
        prog="python -m jaxopt_notes.export",
        description="Write the forward pass and weights of a trained network to one file, for "
        "CPUs, GPUs and TPUs. It takes uint8 images (batch, height, width, channels) and returns "
        "logits.",
        epilog='To run it: jax.export.deserialize(open(FILE, "rb").read()).call(images).',
    )
    add_run(parser)
    parser.add_argument(
        "--out",
        required=True,
        action=Place,
        metavar="FILE",
        help=f"the file to write: ONNX if its name ends in {ONNX}, else jax.export's format",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code: 0, 2 for invalid input, 130 after Ctrl-C."""
    return exit_code(lambda: _export(build_parser().parse_args(argv)))


def _export(args: argparse.Namespace) -> int:
    require("export", "train", "flax", "orbax.checkpoint", "flatbuffers")
    start.import_jax()
    start.devices()
    from jaxopt_notes.inference import exporting
    from jaxopt_notes.inference.trained import load_trained
    from jaxopt_notes.runs.orbax_log import silence_orbax

    silence_orbax()
    trained = load_trained(args.run, args.which)
    path = Path(args.out)
    onnx = path.suffix.lower() == ONNX
    contents = exporting.as_onnx(trained) if onnx else exporting.as_jax(trained)
    exporting.write(path, contents)
    shape = ", ".join(map(str, ("batch", *trained.image_shape)))
    form = "ONNX" if onnx else f"jax.export for {', '.join(exporting.PLATFORMS)}"
    print(
        f"{path}: {len(contents) / 1e6:.1f} MB, {form}; uint8 ({shape}) → float32 logits "
        f"(batch, {len(trained.class_names)}); weights of step {trained.weights.step:,}"
    )
    return 0


if __name__ == "__main__":
    run_as_process(main)
