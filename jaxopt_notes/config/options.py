"""The options of `python -m jaxopt_notes.train`, made from the table of settings.

Needs neither JAX nor optax.
"""

import argparse
from collections.abc import Iterable
from typing import Any

from jaxopt_notes.command import OneLineParser
from jaxopt_notes.config.settings import (
    DATA,
    DEVICES,
    GUARDS,
    HYPERPARAMETERS,
    NETWORK,
    ROWS,
    RUN,
    takers,
)
from jaxopt_notes.config.table import Row
from jaxopt_notes.places import Place


def build_parser() -> OneLineParser:
    """The command's options: one for each row of the table, and the command's own."""
    parser = OneLineParser(
        prog="python -m jaxopt_notes.train",
        description="Train the notes' CNN on MNIST, or on another set of small images.",
    )
    titles = (RUN, GUARDS, NETWORK, DEVICES, DATA, HYPERPARAMETERS)
    groups = {title: parser.add_argument_group(title) for title in titles}
    guards = groups[GUARDS]
    guards.add_argument(
        "--resume", action=Place, metavar="DIR", help="continue the run in this folder"
    )
    guards.add_argument(
        "--override",
        action="store_true",
        help="with --resume: allow settings that change what the run computes",
    )
    for title, group in groups.items():
        add_rows(parser, group, (name for name, row in ROWS.items() if row.group == title))
    groups[NETWORK].add_argument(
        "--summary", action="store_true", help="print the layers of the network and exit"
    )
    _add_processes(groups[DEVICES])
    groups[DATA].add_argument("--quiet", action="store_true", help="print nothing but errors")
    groups[DATA].add_argument(
        "--json", action="store_true", help="print JSON lines instead of text"
    )
    return parser


def _add_processes(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--coordinator",
        metavar="HOST:PORT",
        help="address of process 0; pass the same address to all processes",
    )
    group.add_argument("--processes", type=int, metavar="N", help="number of processes")
    group.add_argument("--process-id", type=int, metavar="I", help="index of this process, from 0")
    group.add_argument(
        "--distributed",
        action="store_true",
        help="let JAX detect these three options, on Slurm, Open MPI, GKE and TPU pods",
    )


def add_rows(
    parser: OneLineParser, group: argparse._ActionsContainer, names: Iterable[str]
) -> None:
    """Adds the options of some rows to a parser's group; `asked_in` reads their values."""
    for row in map(ROWS.__getitem__, names):
        about: dict[str, Any] = {"default": argparse.SUPPRESS, "help": help_text(row)}
        if not row.kind.metavar:
            about["action"] = argparse.BooleanOptionalAction
        else:
            about["metavar"] = row.kind.metavar
        group.add_argument(row.option, **about)
        parser.aliases |= {f"--{alias}": row.option for alias in row.aliases}


def help_text(row: Row) -> str:
    """A setting's help: what it does, its default, and what uses it.

    >>> help_text(ROWS["batch_size"])
    'images in each step (default: 64)'
    """
    text = row.help
    if row.kind.names and row.kind.metavar != "|".join(row.kind.names):
        text += f": {', '.join(row.kind.names)}"
    if default := row.default_text or _default(row):
        text += f" (default: {default})"
    if values := takers(row):
        text += f" (used by: {', '.join(values)})"
    return text.replace("%", "%%")


def _default(row: Row) -> str:
    if row.group == HYPERPARAMETERS:
        return ""  # the group's title speaks of the defaults
    off = row.default is None or row.default is False
    return "off" if off else row.kind.show(row.default)


def asked_in(args: argparse.Namespace) -> dict[str, Any]:
    """The settings that the command's options ask for.

    Raises:
      InputError: an option's text is not a value of its setting.
    """
    texts = {name: value for name, value in vars(args).items() if name in ROWS}
    return {n: v if isinstance(v, bool) else ROWS[n].read(v) for n, v in texts.items()}
