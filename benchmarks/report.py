"""Writes a benchmark's results: a table for people, JSON, and a picture."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.harness import Measured, Spread
from benchmarks.machine import folder_name
from jaxopt_notes import files
from jaxopt_notes.errors import InputError, first_line
from jaxopt_notes.extras import installed

NOTHING = "–"


def number(value: float | None, digits: int = 3) -> str:
    """A number to some significant digits, without an exponent.

    >>> [number(x) for x in (0.01234, 5.678, 1234.5, 0.0, None)]
    ['0.0123', '5.68', '1,234', '0', '–']
    """
    if value is None:
        return NOTHING
    if value == 0:
        return "0"
    decimals = digits - 1
    while decimals > 0 and abs(value) >= 10 ** (digits - decimals):
        decimals -= 1
    while abs(value) < 10 ** (digits - 1 - decimals) and decimals < 9:
        decimals += 1
    return f"{value:,.{decimals}f}"


def between(value: Spread | None) -> str:
    """A median with its quartiles.

    >>> between(Spread(1.0, 0.5, 2.0))
    '1.00 (0.500–2.00)'
    >>> between(Spread(1.0, 1.0, 1.0))
    '1.00'
    """
    if value is None:
        return NOTHING
    median, low, high = map(number, value)
    return median if low == median == high else f"{median} ({low}–{high})"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first column is aligned left, the other columns right.

    >>> print(table(["name", "ms"], [["a", "1.0"], ["bcdef", "22.0"]]))
    | name  |   ms |
    | :---- | ---: |
    | a     |  1.0 |
    | bcdef | 22.0 |
    """
    widths = [max(3, *(len(row[i]) for row in [columns, *rows])) for i in range(len(columns))]

    def line(cells: Sequence[str]) -> str:
        first, *rest = cells
        aligned = [first.ljust(widths[0]), *(c.rjust(w) for c, w in zip(rest, widths[1:]))]
        return f"| {' | '.join(aligned)} |"

    marks = [":" + "-" * (widths[0] - 1), *("-" * (w - 1) + ":" for w in widths[1:])]
    return "\n".join([line(columns), line(marks), *(line(row) for row in rows)])


def as_json(measured: dict[str, Measured]) -> dict[str, Any]:
    """All measurements as a JSON value."""
    return {
        name: {"absent": m.absent}
        if m.absent
        else {
            **m.facts,
            **{f"{key}_median": m.spread(key).median for key in m.samples},  # type: ignore[union-attr]
            **m.samples,
        }
        for name, m in measured.items()
    }


def absences(measured: dict[str, Measured]) -> list[str]:
    """A line for each contestant that did not take part."""
    return [f"{name} was skipped: {m.absent}" for name, m in measured.items() if m.absent]


class Panel(NamedTuple):
    """One diagram of a picture, with a line of numbers for each row.

    Attributes:
      title: what it shows.
      axis: the unit of the numbers.
      rows: names of the rows.
      series: one number per row, None where there is none; a single series is drawn as bars.
      logarithmic: whether the axis is logarithmic.
      at: the position of a vertical line that marks the baseline.
    """

    title: str
    axis: str
    rows: Sequence[str]
    series: Mapping[str, Sequence[Spread | None]]
    logarithmic: bool = False
    at: float | None = None


def write(
    out: Path, machine: dict[str, Any], name: str, value: dict[str, Any], panels: Sequence[Panel]
) -> str:
    """Writes DEVICE/NAME.json, and NAME.png if there are panels; returns a line with their names.

    Raises:
      InputError: the folder cannot be written to.
    """
    folder = out / folder_name(machine)
    text = json.dumps({"benchmark": name, "machine": machine, **value}, indent=1) + "\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files.write_text(folder / f"{name}.json", text)
        figure = draw(name, machine, panels)
        if figure is not None:
            with files.open_whole(folder / f"{name}.png") as file:
                figure.savefig(file, dpi=150, format="png")
    except OSError as error:
        reason = first_line(error)
        raise InputError(
            f"--out {out}: cannot be written ({reason}); pass another folder"
        ) from error
    path = f"{folder / name}.json"
    if not panels:
        return path
    return (
        f"{path} and .png" if figure else f'{path}; for the picture install "jaxopt-notes[plots]"'
    )


def draw(name: str, machine: dict[str, Any], panels: Sequence[Panel]) -> Any:
    """The picture; None where there is nothing to draw or matplotlib is not installed."""
    if not panels or not installed("matplotlib.figure"):
        return None
    from matplotlib.figure import Figure

    across = min(3, len(panels))
    down = -(-len(panels) // across)
    high = max(_height(panel) for panel in panels)
    figure = Figure(figsize=(6.2 * across, high * down + 0.7), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False).ravel()
    for axes, panel in zip(grid, panels):
        _fill(axes, panel)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    handles, labels = grid[0].get_legend_handles_labels()
    if len(labels) > 1:
        figure.legend(
            handles, labels, loc="outside lower center", ncols=min(len(labels), 3 * across)
        )
    figure.suptitle(f"{name} on {folder_name(machine)}")
    return figure


def _height(panel: Panel) -> float:
    return (0.34 if len(panel.series) == 1 else 0.6) * len(panel.rows) + 1.2


def _fill(axes: Any, panel: Panel) -> None:
    if len(panel.series) == 1:
        _bars(axes, next(iter(panel.series.values())))
    else:
        _points(axes, panel.series)
    if panel.logarithmic:
        _logarithmic(axes)
    if panel.at is not None:
        axes.axvline(panel.at, color="0.5", linewidth=1, linestyle="--", zorder=0)
    axes.set_yticks(range(len(panel.rows)), panel.rows)
    axes.set_ylim(len(panel.rows) - 0.5, -0.5)
    axes.set_xlabel(panel.axis)
    axes.set_title(panel.title, fontsize=11)
    axes.grid(axis="x", alpha=0.3)


def _bars(axes: Any, values: Sequence[Spread | None]) -> None:
    for row, v in enumerate(values):
        if v is not None:
            axes.barh(row, v.median, height=0.62, color="C0", alpha=0.8)
            axes.hlines(row, v.low, v.high, color="black", linewidth=1)
            end = max(v.high, v.median)
            axes.annotate(f" {number(v.median)}", (end, row), va="center", fontsize=8)
    axes.margins(x=0.2)


def _points(axes: Any, series: Mapping[str, Sequence[Spread | None]]) -> None:
    for i, (label, values) in enumerate(series.items()):
        shift = 0.6 * (i / (len(series) - 1) - 0.5)
        axes.plot([], [], "o", color=f"C{i}", markersize=5, label=label)
        for row, v in enumerate(values):
            if v is not None:
                axes.plot([v.median], [row + shift], "o", color=f"C{i}", markersize=5)
                axes.hlines(row + shift, v.low, v.high, color=f"C{i}", linewidth=1)


def _logarithmic(axes: Any) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 200 else (1,)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
