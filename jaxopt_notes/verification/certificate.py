"""The proof as a table, as JSON and as Markdown."""

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from jaxopt_notes import files
from jaxopt_notes.verification.proof import Caught, Row

_HEAD = ("setting", "oracle", "dtype", "outside jit", "inside jit", "verdict")
_MUTANT_HEAD = ("optimizer", "error", "distance", "verdict")


def units(distance: float | None) -> str:
    """A distance in units in the last place, with few digits."""
    if distance is None:
        return "–"
    return f"{distance:.1f}" if distance < 1e4 else f"{distance:.0e}"


def cells(row: Row | Caught) -> tuple[str, ...]:
    """The cells of a row."""
    if isinstance(row, Caught):
        seen = ", ".join(f"{oracle} {units(far)}" for oracle, far in row.distances.items())
        return (row.optimizer, row.error, seen, row.verdict)
    head = (row.setting, row.oracle, row.dtype)
    return (*head, units(row.outside_jit), units(row.inside_jit), row.verdict)


def line(row: Row | Caught) -> str:
    """A row for the terminal."""
    return _columns(cells(row), isinstance(row, Caught))


def head(mutated: bool) -> str:
    """The header above the lines."""
    return _columns(_MUTANT_HEAD if mutated else _HEAD, mutated)


def _columns(row: Sequence[str], mutated: bool) -> str:
    first, *others = row  # the longest cell comes last
    widths = (31, 40, 8) if mutated else (10, 9, 12, 11, 7)
    return " ".join([*map(str.ljust, others, widths), first])


def summary(rows: Sequence[Row | Caught], seconds: float) -> str:
    """One sentence that sums up all rows."""
    out = sum(row.out for row in rows)
    if rows and isinstance(rows[0], Caught):
        return f"{len(rows) - out} of {len(rows)} mutants caught in {seconds:.0f} s"
    judged = [row for row in rows if not row.verdict.startswith("skipped")]
    skipped = len(rows) - len(judged)
    tail = f", {skipped} skipped" if skipped else ""
    return f"{len(judged) - out} of {len(judged)} equal, {out} unequal{tail}, in {seconds:.0f} s"


def write(
    folder: Path, rows: Sequence[Row | Caught], about: dict[str, Any], seconds: float
) -> tuple[Path, Path]:
    """Writes certificate.json and certificate.md, or mutants.json and mutants.md."""
    mutated = bool(rows) and isinstance(rows[0], Caught)
    name = "mutants" if mutated else "certificate"
    sentence = summary(rows, seconds)
    content = {"summary": sentence, **about, "rows": [row._asdict() for row in rows]}
    head = _MUTANT_HEAD if mutated else _HEAD
    return write_pair(folder, name, content, _markdown(sentence, rows, about, head))


def write_pair(
    folder: Path, name: str, content: dict[str, Any], lines: Sequence[str]
) -> tuple[Path, Path]:
    """Writes one result as name.json and its lines as name.md."""
    as_json, as_markdown = folder / f"{name}.json", folder / f"{name}.md"
    text = json.dumps(_plain(content), indent=1, ensure_ascii=False, allow_nan=False)
    files.write_text(as_json, text + "\n")
    files.write_text(as_markdown, "\n".join(lines) + "\n")
    return as_json, as_markdown


def _plain(value: Any) -> Any:
    """Replaces infinities, which JSON does not have, by "inf"."""
    if isinstance(value, dict):
        return {name: _plain(x) for name, x in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(x) for x in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def where(about: dict[str, Any]) -> str:
    """One sentence: how many steps, on which device and with which versions."""
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return (
        f"{about['steps']} steps on {about['device']}, {about['system']}, "
        f"Python {about['python']}; {versions}."
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table in Markdown."""
    written = (f"| {' | '.join(row)} |" for row in rows)
    return [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}", *written]


def _markdown(
    sentence: str, rows: Sequence[Row | Caught], about: dict[str, Any], head: Sequence[str]
) -> list[str]:
    return [
        "# Certificate of equality",
        "",
        f"{sentence}. {where(about)}",
        "",
        "A distance is the largest difference of an element over all steps, in units in the last "
        "place of the element's largest value so far. In float64 and against optax, the whole "
        "paths are compared. In all other rows, each step is compared by itself: it starts from "
        "the oracle's parameters.",
        "",
        *table(head, map(cells, rows)),
    ]
