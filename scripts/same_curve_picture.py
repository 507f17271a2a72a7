"""Draws docs/pictures/same-curve.png from the numbers of `same_curve.py`."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from jaxopt_notes import files
from jaxopt_notes.studies import style

_SIZE = (8, 8)  # inches: 12 px letters where a page shows the picture 800 px wide
_AGREE = 1e-5
_LOUD = "batch norm momentum 0.99, not 0.9"  # shown beside the two curves of the test loss


def draw(path: Path, numbers: dict[str, Any]) -> None:
    """Two panels of curves; below, a row for each item that is left out."""
    with matplotlib.rc_context(style.RC):
        figure = Figure(figsize=_SIZE, layout="constrained")
        above, below = figure.subfigures(2, 1, height_ratios=(3, 4.6))
        train, test = above.subplots(1, 2)
        _curves(train, numbers, "train", 1)
        _curves(test, numbers, "test", numbers["test_loss_every"])
        _rows(below.subplots(), numbers)
        apart = max(part["largest"] for part in numbers["same, float64"].values())
        above.suptitle(
            f"torch and JAX draw one curve: {_power(apart)} apart at most over "
            f"{len(numbers['torch']['train'])} steps in float64",
            x=0.01,
            ha="left",
            weight="bold",
            fontsize=12,
        )
        with files.open_whole(path) as file:
            figure.savefig(file, dpi=150, format="png")


def _curves(axes: Any, numbers: dict[str, Any], part: str, every: int) -> None:
    """torch wide, JAX thin on top of it; beside the test loss the loudest item left out."""
    steps = np.arange(1, len(numbers["torch"][part]) + 1) * every
    axes.plot(steps, numbers["torch"][part], color=style.SKY, linewidth=5, alpha=0.6)
    axes.plot(steps, numbers["jax"][part], color=style.BLACK, linewidth=1.1)
    axes.set_xlabel("step")
    axes.set_title(f"{'training' if part == 'train' else 'test'} loss (nats)", weight="normal")
    axes.set_ylim(bottom=0)
    if part == "train":
        axes.text(0.5, 0.78, "torch (wide)", color=style.ink(style.SKY), transform=axes.transAxes)
        axes.text(0.5, 0.69, "JAX (thin)", color=style.BLACK, transform=axes.transAxes)
        return
    losses = numbers["left out"][_LOUD]["curves"][part]
    axes.plot(steps, losses, color=style.RED, linewidth=1.5)
    name = _LOUD.replace(" momentum ", " momentum\n")
    axes.text(0.4, 0.5, f"JAX, {name}", color=style.ink(style.RED), transform=axes.transAxes)


def _rows(axes: Any, numbers: dict[str, Any]) -> None:
    """The largest difference of each run from torch's, in training and in test loss."""
    runs = {
        "every item as in torch, float64": numbers["same, float64"],
        "every item as in torch, float32": numbers["same, float32"],
        **numbers["left out"],
    }
    for y, (name, run) in enumerate(runs.items()):
        train, test = (run[part]["largest"] for part in ("train", "test"))
        axes.plot([train, test], [y, y], color="#BBBBBB", linewidth=1.2, zorder=1)
        axes.plot(test, y, "D", color=style.ORANGE, markersize=6.5)
        axes.plot(train, y, "o", color=style.BLUE, markersize=6.5)
        first = run["train"]["first_step_above_1e-5"]
        when = f"step {first}" if first else "never"
        axes.text(1.02, y, when, va="center", fontsize=8.5, transform=axes.get_yaxis_transform())
        if name == _LOUD:
            label = {"ha": "center", "va": "bottom", "fontsize": 8.5}
            axes.text(train, y - 0.27, "training loss", color=style.ink(style.BLUE), **label)
            axes.text(test, y - 0.27, "test loss", color=style.ink(style.ORANGE), **label)
    axes.text(
        -0.02,
        -0.75,
        "JAX's run with",
        ha="right",
        va="bottom",
        transform=axes.get_yaxis_transform(),
    )
    axes.set_yticks(range(len(runs)), runs, fontsize=9)
    axes.set_ylim(len(runs) - 0.4, -0.6)
    axes.set_xscale("log")
    axes.set_xlim(1e-16, 3)
    axes.axvspan(1e-16, _AGREE, color=style.GREEN, alpha=0.08, linewidth=0)
    middle = {"ha": "center", "va": "center", "color": style.ink(style.GREEN)}
    axes.text((1e-16 * _AGREE) ** 0.5, len(runs) / 2, "equal to 1e-5", **middle)
    header = "training loss\n1e-5 apart from"
    axes.text(1.02, -0.75, header, va="bottom", fontsize=8.5, transform=axes.get_yaxis_transform())
    axes.set_xlabel("largest difference from torch's loss over the run (nats)")
    axes.set_title(
        "Leave one item out, and the curves part\nBatch norm's averages move the test loss alone",
        fontsize=11,
    )


def _power(x: float) -> str:
    exponent = int(np.floor(np.log10(x)))
    return f"{x / 10**exponent:.0f}·10$^{{{exponent}}}$"
