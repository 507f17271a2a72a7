"""`python -m jaxopt_notes.aot`: compiles the training step for hardware that need not be here."""

import argparse
import json
import sys
from collections.abc import Sequence

from jaxopt_notes.aot import targets
from jaxopt_notes.command import OneLineParser, exit_code
from jaxopt_notes.config.settings import LEARNING_RATES, MODELS, NORMS, OPTIMIZERS, Config, validate

IMAGE_SHAPE, CLASSES = (28, 28, 1), 10  # MNIST's
STEPS = 1000  # of the schedule: a number in the program, of no effect on its shape


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = OneLineParser(
        prog="python -m jaxopt_notes.aot",
        description="Compile the training step ahead of time, for hardware that need not be here, "
        "and say whether its buffers alias, what its devices send, and whether memory holds it.",
    )
    parser.add_argument(
        "--target", required=True, metavar="NAME", help=f"one such as {targets.EXAMPLES}"
    )
    parser.add_argument("--model", default="cnn", metavar="NAME", help=f"{', '.join(MODELS)} (cnn)")
    parser.add_argument("--norm", default="none", metavar="NAME", help=f"{', '.join(NORMS)} (none)")
    parser.add_argument(
        "--optimizer", default="adam", metavar="NAME", help=f"{', '.join(OPTIMIZERS)} (adam)"
    )
    parser.add_argument(
        "--batch-size", type=int, default=64, metavar="N", help="of all devices together (64)"
    )
    parser.add_argument(
        "--shard-optimizer-state", action="store_true", help="cut it among the devices"
    )
    parser.add_argument("--json", action="store_true", help="print JSON in place of text")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; its exit code: 0, 1 where the step is not as it should be, 2 a mistake."""
    return exit_code(lambda: _compile(build_parser().parse_args(argv)))


def _compile(args: argparse.Namespace) -> int:
    target = targets.parse(args.target)
    config = Config(
        model=args.model,
        norm=args.norm,
        optimizer=args.optimizer,
        learning_rate=LEARNING_RATES.get(args.optimizer),
        batch_size=args.batch_size,
    )
    validate(config)
    return _report(target, config, args.shard_optimizer_state, args.json)


def _report(target: targets.Target, config: Config, sharded: bool, as_json: bool) -> int:
    import jax

    jax.config.update("jax_platforms", "cpu")  # take no accelerator that is here
    jax.config.update("jax_enable_compilation_cache", False)  # compile in earnest

    from jaxopt_notes.aot import compiler
    from jaxopt_notes.models import pure
    from jaxopt_notes.training import adam_to_sgd
    from jaxopt_notes.training.network import build_network, with_parts
    from jaxopt_notes.training.setup import build_optimizer

    devices = targets.devices(target)
    config = with_parts(adam_to_sgd.resolved(config))
    report = compiler.compile_for(
        target,
        devices,
        pure(build_network(config, IMAGE_SHAPE, CLASSES)),
        build_optimizer(config, STEPS),
        IMAGE_SHAPE,
        config.batch_size,
        sharded,
    )
    print(json.dumps(report.as_json()) if as_json else compiler.text(report))
    return 0 if report.sound else 1


if __name__ == "__main__":
    sys.exit(main())
