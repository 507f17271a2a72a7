"""`python -m jaxopt_notes.convert`: turns torch checkpoints into runs, and back."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxopt_notes.command import OneLineParser, exit_code, run_as_process
from jaxopt_notes.config.options import add_rows, asked_in
from jaxopt_notes.config.settings import ROWS
from jaxopt_notes.errors import InputError
from jaxopt_notes.extras import require
from jaxopt_notes.places import Place
from jaxopt_notes.runtime import start

if TYPE_CHECKING:
    from jaxopt_notes.exchange.reading import Parts
    from jaxopt_notes.exchange.taking_up import Taken

_NETWORK = ("model", "pooling", "widths", "norm", "activation", "dropout")
_RUN = ("dataset", "data_dir", "image_size", "follow_links", "batch_size", "epochs", "seed")
_STEP = ("optimizer", "learning_rate", "schedule", "warmup", "clip_norm", "shift")
WHICH = ("last", "best", "ema")


def build_parser() -> OneLineParser:
    """The command's options."""
    parser = OneLineParser(
        prog="python -m jaxopt_notes.convert",
        description="Convert a torch checkpoint to a run for train --resume, or a run to a torch "
        "checkpoint: weights, optimizer with its state, scheduler and step.",
        epilog="No pickle is executed: torch's files are read with weights_only=True.",
    )
    parser.usage = "%(prog)s [options] SOURCE --out DIR|FILE"
    parser.add_argument(
        "source",
        action=Place,
        metavar="SOURCE",
        help="a torch.save or safetensors file, a folder of the Hugging Face Trainer, or the "
        "folder of a training run",
    )
    parser.add_argument(
        "--out",
        required=True,
        action=Place,
        metavar="DIR|FILE",
        help="output. To a run: a new folder. To torch: a new file, name.pt, or name.safetensors "
        "for the weights alone",
    )
    parser.add_argument(
        "--names",
        action=Place,
        metavar="FILE",
        help="JSON list of torch's names for the layers with weights, in the network's order "
        "(default: from torch, matched by shape and number; to torch, numbered as in "
        "nn.Sequential)",
    )
    back = parser.add_argument_group("from a run to torch")
    back.add_argument(
        "--which",
        default=WHICH[0],
        choices=WHICH,
        help="weights to convert: the last, those with the best test accuracy, or the average; "
        "only the last come with the optimizer (default: last)",
    )
    there = parser.add_argument_group(
        "from torch to a run, for what the checkpoint does not hold",
        "The shapes of the weights determine the model, its widths and its norm. If the "
        "checkpoint holds optimizer settings, a learning rate or a schedule, the run uses them. "
        "Images are not shifted unless you pass --shift.",
    )
    there.add_argument(
        "--step",
        metavar="N",
        type=int,
        help="number of optimizer steps taken (default: the checkpoint's)",
    )
    add_rows(parser, there, (*_NETWORK, *_RUN, *_STEP))
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code: 0, 2 for invalid input, 130 after Ctrl-C."""
    return exit_code(lambda: _convert(build_parser().parse_args(argv)))


def _convert(args: argparse.Namespace) -> int:
    source = Path(args.source)
    asked = asked_in(args)
    if not source.exists():
        raise InputError(f"{source}: does not exist; pass a checkpoint, or the folder of a run")
    require("convert", "train")
    start.import_jax()
    start.devices()
    from jaxopt_notes.exchange import reading
    from jaxopt_notes.runs.orbax_log import silence_orbax

    silence_orbax()
    names = None if args.names is None else reading.read_names(Path(args.names))
    if source.is_dir() and not reading.is_checkpoint_folder(source):
        return _give_back(args, names, asked)
    return _take_up(args, names, asked)


def _take_up(args: argparse.Namespace, names: list[str] | None, asked: dict[str, Any]) -> int:
    from jaxopt_notes.exchange import reading, taking_up
    from jaxopt_notes.runs import folder

    if args.which != WHICH[0]:
        raise InputError(f"--which {args.which}: only for a run; leave it out")
    if args.step is not None and args.step < 0:
        raise InputError(f"--step {args.step}: is out of range; pass a whole number from 0")
    folder.refuse_used(args.out)
    parts = reading.read(Path(args.source))
    try:
        taken = taking_up.take_up(parts, asked, names, args.step)
    except InputError as error:
        text = str(error)
        if text.startswith("state_dict:"):
            text += "; convert takes only the networks of train; for others, use "
            text += "jaxopt_notes.transfer.to_nnx_optimizer"
        raise error if text.startswith("-") else InputError(f"{args.source}: {text}") from None
    accuracy = taking_up.accuracy(taken)
    out = taking_up.write(taken, args.out)
    print("\n".join(_taken_text(args.source, parts, taken, accuracy, out)))
    return 0


def _taken_text(
    source: str, parts: "Parts", taken: "Taken", accuracy: float, out: Path
) -> list[str]:
    from jaxopt_notes.models import parameter_count
    from jaxopt_notes.training.network import describe_network

    config, progress, data = taken.setup.config, taken.progress, taken.setup.data
    hyper = "".join(f", {name}={value}" for name, value in config.hyperparameters.items())
    optimizer = f"{config.optimizer}({config.learning_rate:g} {config.schedule}{hyper})"
    lines = [
        f"{source}: {describe_network(config)}, {parameter_count(progress.state.params):,} "
        f"parameters; {accuracy:.2%} of {len(data.test_labels):,} test images of {data.name} right",
        f"optimizer: {optimizer} after {progress.step:,} steps"
        if parts.optimizer is not None
        else f"optimizer: none in the file; {optimizer} starts at step 0",
    ]
    if config.model == "cnn" and config.pooling != "gap":
        lines.append(
            f"assumed, because the weights do not show them: pooling {config.pooling}, activation "
            f"{config.activation}"
        )
    else:
        lines.append(f"assumed, because the weights do not show it: activation {config.activation}")
    steps = taken.setup.steps_per_epoch
    lines.append(
        f"{out}: {progress.epoch} of {config.epochs} epochs are done, and {progress.step_in_epoch} "
        f"of {steps} steps; batch size {config.batch_size}, seed {config.seed}"
    )
    more = f" --epochs {config.epochs + 1}" if progress.epoch == config.epochs else ""
    return [*lines, f"next: python -m jaxopt_notes.train --resume {out}{more}"]


def _give_back(args: argparse.Namespace, names: list[str] | None, asked: dict[str, Any]) -> int:
    from jaxopt_notes.exchange import giving_back, reading

    spare = [name for name in asked if name != "out"]
    if not (Path(args.source) / "config.json").exists():
        raise InputError(
            f"SOURCE {args.source}: holds neither a run nor a checkpoint of the Hugging Face "
            "Trainer; pass a checkpoint file, or the folder of a run"
        )
    if spare or args.step is not None:
        option = ROWS[spare[0]].option if spare else "--step"
        raise InputError(f"{option}: only for a torch checkpoint, and {args.source} is a run")
    out = Path(args.out)
    giving_back.refuse_out(out)
    alone = out.suffix == reading.SAFETENSORS
    checkpoint = giving_back.give_back(args.source, args.which, names, weights_alone=alone)
    giving_back.write(checkpoint, out)
    parts = ", ".join(("model", *checkpoint.rest)) if checkpoint.rest else "the module's state_dict"
    print(f"{out}: {parts}; after {checkpoint.step:,} steps")
    for note in checkpoint.notes:
        print(f"note: {note}")
    if names is None:
        print(
            "note: layers are named by their places in nn.Sequential; pass --names for other names"
        )
    print(f"next, in torch: {_next_in_torch(out, bool(checkpoint.rest))}")
    return 0


def _next_in_torch(out: Path, whole: bool) -> str:
    """The torch code that reads the file."""
    if out.suffix == ".safetensors":
        return f"module.load_state_dict(safetensors.torch.load_file({str(out)!r}))"
    read = f"torch.load({str(out)!r}, weights_only=True)"
    entry = "['model']" if whole else ""
    return f"module.load_state_dict({read}{entry})"


if __name__ == "__main__":
    run_as_process(main)
