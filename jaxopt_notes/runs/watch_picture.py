"""Draws the readings of a watched optimizer: a panel per quantity, a line per parameter.

Lines of one layer share a colour. Kernel, bias and so on each have their own dash pattern.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class _Panel(NamedTuple):
    quantity: str
    title: str
    is_share: bool = False


PANELS = (
    _Panel("update_ratio", "update ratio ‖u‖ / ‖θ‖"),
    _Panel("effective_learning_rate", "effective learning rate ‖u‖ / ‖g‖"),
    _Panel("gradient_norm", "gradient norm ‖g‖"),
    _Panel("second_moment_below_eps", "share of the second moment below ε", is_share=True),
    _Panel("clipped", "share of the measured steps that were clipped", is_share=True),
)
_DASHES = ("-", "--", ":", "-.")
_MARKED = 40  # epochs: with more, the markers would overlap
_IN_A_COLUMN = 12  # names in a column of the legend

Curves = dict[str, list[float]]


def draw(figure: Any, rows: Sequence[Mapping[str, Any]], title: str) -> None:
    """Draws the readings of some epochs.

    Args:
      figure: an empty figure of matplotlib.
      rows: rows of metrics.jsonl; rows without readings are left out.
      title: the title of the picture.
    """
    rows = [row for row in rows if "watch" in row]
    epochs = [row["epoch"] for row in rows]
    drawn = [(panel, curves) for panel in PANELS if (curves := _curves(rows, panel.quantity))]
    groups = list(drawn[0][1])
    styles = _styles(groups)
    across = 3 if len(drawn) > 4 else 2
    down = math.ceil(len(drawn) / across)
    figure.set_size_inches(4.4 * across, 3.2 * down + 0.6)
    figure.suptitle(title, parse_math=False)
    panels = figure.subplots(down, across).ravel()
    for axes, (panel, curves) in zip(panels, drawn):
        for name, values in curves.items():
            style = styles.get(name, {"color": "black"})  # the curve of a link, not of a group
            axes.plot(
                epochs, values, markersize=4, marker="o" if len(epochs) <= _MARKED else "", **style
            )
        _label(axes, panel)
    free = panels[len(drawn) :]
    for axes in free:
        axes.set_axis_off()
    below = {"loc": "outside lower center", "ncols": 4}
    within = {"loc": "center", "ncols": math.ceil(len(groups) / _IN_A_COLUMN)}
    place, how = (free[0], within) if len(free) else (figure, below)
    place.legend(panels[0].get_lines(), groups, fontsize="medium", handlelength=3, **how)


def _curves(rows: Sequence[Mapping[str, Any]], quantity: str) -> Curves:
    """One quantity over the epochs for each group or link; NaN where there is no value."""
    names = {name: None for row in rows for name in row["watch"] if name.endswith(f"/{quantity}")}
    return {
        name.removesuffix(f"/{quantity}"): [
            math.nan if (value := row["watch"].get(name)) is None else value for row in rows
        ]
        for name in names
    }


def _styles(groups: Sequence[str]) -> dict[str, dict[str, Any]]:
    """A colour for each layer, and a dash pattern for each kind of parameter in it."""
    from matplotlib import colormaps

    layers = list(dict.fromkeys(name.rpartition("/")[0] for name in groups))
    kinds = sorted({name.rpartition("/")[2] for name in groups}, key=lambda kind: kind != "kernel")
    few = len(layers) <= 10
    styles = {}
    for name in groups:
        layer, _, kind = name.rpartition("/")
        i = layers.index(layer)
        color = colormaps["tab10"](i) if few else colormaps["viridis"](i / (len(layers) - 1))
        styles[name] = {"color": color, "linestyle": _DASHES[kinds.index(kind) % len(_DASHES)]}
    return styles


def _label(axes: Any, panel: _Panel) -> None:
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    axes.set_title(panel.title, fontsize="medium")
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    if panel.is_share:
        axes.set_ylim(bottom=0, top=max(0.1, 1.05 * axes.get_ylim()[1]))
        axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    else:
        axes.set_yscale("log")
