"""A study's folder: result.json, series.csv, picture.png, picture.svg and perhaps picture.zh.svg.

result.json is written last and removed first: where it exists, the other files belong to it.
"""

import csv
import io
import itertools
import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxopt_notes import files
from jaxopt_notes.errors import InputError, first_line
from jaxopt_notes.studies.study import Measured


def write(where: Path, result: dict[str, Any], series: dict[str, Any], pictures: Any) -> None:
    """Writes the files of one study.

    Args:
      where: the study's folder; made if it does not exist.
      result: the content of result.json.
      series: columns of numbers.
      pictures: the bytes of "png", "svg" and perhaps "zh.svg".
    """
    where.mkdir(parents=True, exist_ok=True)
    (where / "result.json").unlink(missing_ok=True)
    files.write_text(where / "series.csv", _as_csv(series))
    for kind, content in pictures.items():
        files.write_bytes(where / f"picture.{kind}", content)
    files.write_json(where / "result.json", _plain(result))


def result(where: Path) -> dict[str, Any]:
    """The content of a study's result.json.

    Raises:
      InputError: there is none, or it is damaged.
    """
    try:
        content: dict[str, Any] = json.loads((where / "result.json").read_text(encoding="utf-8"))
        return {**content, "numbers": _numbers(content["numbers"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"--out {where.parent}: cannot read {where.name}/result.json ({first_line(error)}); "
            "run `report` first"
        ) from None


class Stored(NamedTuple):
    """An earlier measurement: how many seconds it took, and with what.

    Attributes:
      measured: the numbers.
      seconds: that it took.
      versions: of the packages.
      ran_under: the hash of the rule and setting when it ran; None before rules were registered.
    """

    measured: Measured
    seconds: float
    versions: dict[str, str]
    ran_under: str | None


def stored(where: Path, key: str) -> Stored | None:
    """The earlier measurement in this folder, if it has this key."""
    try:
        result = json.loads((where / "result.json").read_text(encoding="utf-8"))
        if result["key"] != key:
            return None
        series = _from_csv((where / "series.csv").read_text(encoding="utf-8"))
        budgets = _numbers(result.get("budgets", {}))
        measured = Measured(_numbers(result["numbers"]), series, budgets)
        return Stored(measured, result["seconds"], result["versions"], result.get("ran_under"))
    except (OSError, ValueError, KeyError, TypeError):
        return None  # missing or damaged: to be measured again


def _as_csv(series: dict[str, Any]) -> str:
    columns = [[_digits(x) for x in np.ravel(column)] for column in series.values()]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(series)
    writer.writerows(itertools.zip_longest(*columns, fillvalue=""))
    return text.getvalue()


def _digits(x: Any) -> str:
    """A number with no more digits than its type has."""
    return str(x) if isinstance(x, np.floating | np.integer) else repr(x)


def _from_csv(text: str) -> dict[str, np.ndarray]:
    head, *rows = csv.reader(io.StringIO(text))
    columns = zip(*rows) if rows else ([] for _ in head)
    return {n: np.array([float(x) for x in column if x != ""]) for n, column in zip(head, columns)}


def _plain(value: Any) -> Any:
    """A value as JSON can hold it: Python's numbers, and infinities as text."""
    if isinstance(value, dict):
        return {name: _plain(x) for name, x in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(x) for x in value]
    value = value.item() if isinstance(value, np.generic) else value
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _numbers(value: Any) -> Any:
    """The inverse of `_plain`, for numbers."""
    if isinstance(value, dict):
        return {name: _numbers(x) for name, x in value.items()}
    return float(value) if isinstance(value, str) else value
