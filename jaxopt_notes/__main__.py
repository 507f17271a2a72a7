"""`python -m jaxopt_notes`: lists the commands; `python -m jaxopt_notes NAME` runs one."""

import importlib
import sys
from collections.abc import Sequence

from jaxopt_notes.command import exit_code, run_as_process
from jaxopt_notes.errors import InputError, nearest

COMMANDS = {
    "train": "train a network on MNIST or on your own pictures",
    "predict": "classify pictures with a trained network",
    "compare": "compare training runs in a table and a picture",
    "export": "write a trained network as one file: jax.export or ONNX",
    "convert": "convert a torch checkpoint to a run, or a run to a torch checkpoint",
    "explain": "print the equation of any optax optimizer, read from its program",
    "identify": "name any optimizer from its steps alone",
    "diagnose": "explain why two optimizers differ",
    "verify": "prove on this machine that the optimizers equal optax, torch, Keras and TensorFlow",
    "studies": "run the studies of the notes' claims",
    "aot": "compile a training step for hardware that you do not have",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Lists the commands, or runs the command that `argv` names first; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words and words[0] in COMMANDS:
        package = "" if words[0] not in ("aot", "studies") else ".__main__"
        command = importlib.import_module(f"jaxopt_notes.{words[0]}{package}")
        return int(command.main(words[1:]))
    return exit_code(lambda: _list(words))


def _list(words: Sequence[str]) -> int:
    if words and words[0] not in ("-h", "--help", "help"):
        near = nearest(words[0], COMMANDS)
        remedy = f"did you mean {near}?" if near else f"pass one of {', '.join(COMMANDS)}"
        raise InputError(f"{words[0]}: is not a command; {remedy}")
    for name, line in COMMANDS.items():
        print(f"python -m jaxopt_notes.{name:<8}  {line}")
    print("\nEach lists its options with --help.")
    return 0


if __name__ == "__main__":
    run_as_process(main)
