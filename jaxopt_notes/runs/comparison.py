"""Compares runs by the files in their folders. Needs no JAX."""

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxopt_notes.config.settings import ROWS
from jaxopt_notes.errors import InputError, first_line
from jaxopt_notes.runs import info as run_info

_NUMBERS = ("epoch", "step", "seconds")
_SCORES = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")


class Compared(NamedTuple):
    """A run as its folder describes it.

    Attributes:
      name: the run's name in the comparison.
      settings: option to value, the optimizer's hyperparameters included.
      data: the data set's name and fingerprint.
      rows: one for each finished epoch.
    """

    name: str
    settings: dict[str, Any]
    data: tuple[str, str]
    rows: list[dict[str, Any]]

    def scores(self) -> dict[str, Any]:
        """Steps, seconds, and test scores; None where a score is missing."""
        last = self.rows[-1] if self.rows else {}
        columns = {
            "best_test_accuracy": max(self._finite("test_accuracy"), default=None),
            "last_test_accuracy": last.get("test_accuracy"),
            "best_test_loss": min(self._finite("test_loss"), default=None),
            "last_test_loss": last.get("test_loss"),
        }
        return {"steps": last.get("step"), "seconds": last.get("seconds"), **columns}

    def _finite(self, column: str) -> list[float]:
        return [row[column] for row in self.rows if math.isfinite(row[column])]


class Comparison(NamedTuple):
    """The runs, the names of the settings that differ between them, and notes for the user."""

    runs: list[Compared]
    differing: list[str]
    notes: list[str]

    def as_json(self) -> dict[str, Any]:
        """The runs with their differing settings and their scores, and the notes."""
        runs = [
            {"run": run.name, "settings": self._settings(run), **run.scores()} for run in self.runs
        ]
        return {"runs": runs, "notes": self.notes}

    def _settings(self, run: Compared) -> dict[str, Any]:
        return {name: run.settings.get(name) for name in self.differing}

    def text(self) -> str:
        """A table with one line per run."""
        heads = ("steps", "seconds", "best acc", "last acc", "best loss", "last loss")
        lines = [("run", *self.differing, *heads)]
        for run in self.runs:
            settings = map(_setting, self._settings(run).values())
            lines.append((run.name, *settings, *map(_score, run.scores().items())))
        widths = [max(map(len, column)) for column in zip(*lines)]
        left = 1 + len(self.differing)
        return "\n".join(
            "  ".join(
                cell.ljust(width) if i < left else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(line, widths))
            )
            for line in lines
        )


def compare(folders: Sequence[str]) -> Comparison:
    """Reads runs and compares them.

    Raises:
      InputError: a folder holds no run, or its files cannot be read.
    """
    runs, notes = [], []
    for folder, name in zip(folders, _names(folders)):
        run, broken = _read(folder, name)
        runs.append(run)
        notes += broken
    same_data = runs[0].data[1] != "" and len({run.data[1] for run in runs}) == 1
    if not same_data and len({run.data for run in runs}) > 1:
        sets = (f"{run.name} {' '.join(run.data).strip()}" for run in runs)
        notes.append(f"the data sets differ: {', '.join(sets)}")
    known = dict.fromkeys(name for run in runs for name in run.settings)
    if same_data:  # which the runs may know by different names
        known.pop("dataset")
    differing = [name for name in known if len({_key(run, name) for run in runs}) > 1]
    return Comparison(runs, differing, notes)


def _read(folder: str, name: str) -> tuple[Compared, list[str]]:
    info = run_info.read(folder, "RUN")
    values = info.config.values().items()
    settings = {n: ROWS[n].to_json(value) for n, value in values if ROWS[n].compared}
    data = info.data
    path = Path(folder) / "metrics.jsonl"
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        lines = []  # the first epoch is not finished
    except OSError as error:
        raise InputError(
            f"RUN {folder}: {path.name} cannot be read ({first_line(error)})"
        ) from error
    parsed = [_row(line) for line in lines]
    broken = [str(i + 1) for i, row in enumerate(parsed) if row is None]
    rows = [row for row in parsed if row is not None]
    notes = []
    if broken:
        which = "line" if len(broken) == 1 else "lines"
        notes.append(f"{path}: skipped broken {which} {', '.join(broken)}")
    if not rows:
        notes.append(f"{folder}: no epoch has finished")
    return Compared(name, settings, (data.name, data.fingerprint), rows), notes


def _row(line: str) -> dict[str, Any] | None:
    """Parses the row of an epoch; None if the line holds no row."""
    try:
        row = json.loads(line)
        whole = all(isinstance(row[name], int | float) for name in (*_NUMBERS, *_SCORES))
    except (ValueError, KeyError, TypeError):
        return None
    return row if whole else None


def _names(folders: Sequence[str]) -> list[str]:
    """The folders' own names, or their full paths if two folders have the same name."""
    short = [Path(os.path.abspath(folder)).name for folder in folders]
    return short if len(set(short)) == len(short) else list(folders)


def _key(run: Compared, name: str) -> str:
    return json.dumps(run.settings.get(name))


def _setting(value: Any) -> str:
    if isinstance(value, list):  # widths
        return ",".join(map(str, value))
    return "–" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _score(item: tuple[str, Any]) -> str:
    name, value = item
    if value is None:
        return "–"
    if name == "steps":
        return f"{value:,}"
    return f"{value:.1f}" if name == "seconds" else f"{value:{'.2%' if 'acc' in name else '.4f'}}"
