"""One look for all pictures: they are 5 inches wide, which is a phone's width at 72 dots an inch.

So no text is smaller than 8 points on a phone, and panels stand one below the other. The colours
are Okabe and Ito's (2008, "Color Universal Design"), which people with any colour vision can tell
apart; an optimizer has the same colour and the same dashes everywhere.
"""

from collections.abc import Mapping, Sequence
from typing import Any

WIDTH = 5.0  # inches

BLACK, ORANGE, SKY, GREEN, BLUE, RED, PURPLE = (
    "#333333",
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
)
COLOURS = {
    "sgd": BLACK,
    "momentum": BLUE,
    "adagrad": ORANGE,
    "rmsprop": GREEN,
    "adam": RED,
    "adamw": PURPLE,
    "adam-to-sgd": SKY,
}
LABELS = {
    "sgd": "SGD",
    "momentum": "momentum",
    "adagrad": "AdaGrad",
    "rmsprop": "RMSProp",
    "adam": "Adam",
    "adamw": "AdamW",
    "adam-to-sgd": "Adam → SGD",
}
DASHES = {
    "sgd": (0, (5, 1.5)),
    "momentum": "-",
    "adagrad": (0, (4, 1.2, 1, 1.2)),
    "rmsprop": "-",
    "adam": "-",
    "adamw": (0, (6, 2)),
    "adam-to-sgd": (0, (1, 1)),
}

# The colours on a dark page; those that are not named are bright enough.
DARK = {BLACK: "#e3e3df", GREEN: "#2fc79a", BLUE: "#4fa9e6", RED: "#ff8a4a", PURPLE: "#e29cc3"}
DARK_PAGE = "#1b1d21"  # what a dark picture stands on

# Texts of several studies' pictures, in Chinese; a study's own stand in ABOUT.texts.
TEXTS = {
    "momentum": "动量",
    "step": "步数",
    "learning rate α": "学习率 α",
    "cross-entropy (nats)": "交叉熵（nat）",
}

RC: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # matplotlib's own: the same everywhere
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#777777",
    "axes.labelcolor": "#222222",
    "text.color": "#222222",
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "lines.linewidth": 1.8,
    "figure.facecolor": "white",  # of its own, or the text would vanish on a dark page
    "savefig.dpi": 150,
    "svg.fonttype": "none",  # letters stay text; see pictures
    "svg.hashsalt": "jaxopt_notes",
}


def line(name: str) -> dict[str, Any]:
    """How an optimizer's line looks, for `axes.plot`."""
    return {"color": COLOURS[name], "linestyle": DASHES[name], "label": LABELS[name]}


def panels(figure: Any, heights: Sequence[float]) -> list[Any]:
    """Panels one below the other, of these heights in inches."""
    figure.set_figheight(sum(heights))
    axes = figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False)
    return list(axes[:, 0])


def ink(colour: str) -> Any:
    """A colour dark enough for letters on white."""
    from matplotlib.colors import to_rgb

    return tuple(0.72 * part for part in to_rgb(colour))


def on_dark(colour: str) -> str | None:
    """A colour of a picture on a dark page; None for those that stay.

    Greys are mirrored, so what was near the page stays near it. On a heat map, whose colours stay,
    write in "white" or "black", which stay too.
    """
    from matplotlib.colors import to_hex

    for name in {*COLOURS.values(), *DARK}:
        if colour in (name.lower(), to_hex(ink(name))):
            return DARK.get(name, name).lower()
    if colour == "#ffffff":
        return DARK_PAGE
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    if red == green == blue and red > 0:
        return "#" + f"{round(243.5 - 0.867 * red):02x}" * 3
    return None


def band(axes: Any, x: Any, values: Any, look: Mapping[str, Any]) -> None:
    """The median over the seeds as a line, lowest to highest as a band; values (seeds, x)."""
    import numpy as np

    axes.fill_between(
        x, np.min(values, 0), np.max(values, 0), color=look["color"], alpha=0.2, linewidth=0
    )
    axes.plot(x, np.median(values, 0), **look)


def bar(axes: Any, y: float, values: Any, colour: str) -> None:
    """The median over the seeds as a dot, lowest to highest as a bar, in a row of its own."""
    import numpy as np

    axes.plot([np.min(values), np.max(values)], [y, y], color=colour, linewidth=3, alpha=0.35)
    axes.plot(np.median(values), y, "o", color=colour)
