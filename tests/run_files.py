"""Readers of a run's folder, and the command that makes one in a process."""

import json
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple


def rows(folder):
    """The rows of the run in a folder."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def without_seconds(metric_rows):
    """The rows without their seconds, which differ from run to run."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in metric_rows]


def without_watch(metric_rows):
    """The rows without the readings of `--watch` and without their seconds."""
    return [{k: v for k, v in row.items() if k != "watch"} for row in without_seconds(metric_rows)]


def shown_files(folder):
    """The names in a folder, without hidden ones."""
    return sorted(name for name in os.listdir(folder) if not name.startswith("."))


def described(folder):
    """The content of the `config.json` in a folder."""
    return json.loads((folder / "config.json").read_text())


# `python -m jaxopt_notes.train` as if matplotlib were not installed: drawing takes a third of the
# time of a short run.
TRAIN = (
    sys.executable,
    "-c",
    "import runpy, sys; sys.modules['matplotlib.figure'] = None; "
    "runpy.run_module('jaxopt_notes.train', run_name='__main__', alter_sys=True)",
)
# A dense network of 8 hidden features; pixels stay where they are.
SMALL = "--model mlp --widths 8 --shift 0"
# Two epochs of four steps.
BASE = "--widths 8 --shift 0 --epochs 2 --batch-size 128 --checkpoint-every off"


class Ran(NamedTuple):
    """What a run left: its exit code, its printed output and its folder."""

    code: int
    out: str
    err: str
    folder: Path

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of `metrics.jsonl`."""
        return rows(self.folder)

    @property
    def described(self) -> dict[str, Any]:
        """The content of the run's `config.json`."""
        return described(self.folder)

    @property
    def config(self) -> dict[str, Any]:
        """The settings in it."""
        return self.described["config"]

    @property
    def checkpoints(self) -> set[int]:
        """The steps of the checkpoints that the folder holds."""
        return {int(p.name) for p in self.folder.glob("checkpoints/*") if p.name.isdigit()}
