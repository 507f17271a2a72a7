"""`python scripts/optimizer_paths.py` draws each optimizer's path down one ravine.

The pictures are docs/pictures/path-NAME-light.png and path-NAME-dark.png, for docs/optimizers.md;
their numbers are in optimizer-paths.json beside them. The learning rates are chosen for a clear
picture: it is no race. Needs the extra `plots`.
"""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import optax
from matplotlib.figure import Figure
from PIL import Image

from jaxopt_notes import adam_to_sgd, files, lion
from jaxopt_notes.conventions import notes
from jaxopt_notes.studies import style
from jaxopt_notes.studies.walks import walk

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"
STEPS, SWITCH = 60, 20
CURVATURES, MINIMUM, START = np.array([1.0, 25.0]), np.array([1.0, 0.0]), np.array([-1.0, 0.6])
WINDOW = (-1.25, 1.75), (-0.75, 0.85)
INKS = {"light": ("#FFFFFF", "#222222", "#D5D5D0"), "dark": ("#0D1117", "#E6E6E3", "#30363D")}


class Walker(NamedTuple):
    """An optimizer, and the call that the picture's title names."""

    make: Callable[[], optax.GradientTransformation]
    title: str
    colour: str


WALKERS = {
    "sgd": Walker(lambda: notes.sgd(0.07), "SGD, α = 0.07", style.BLACK),
    "momentum": Walker(
        lambda: notes.momentum(0.07), "Momentum, α = 0.07, β = 0.9", style.COLOURS["momentum"]
    ),
    "adagrad": Walker(lambda: notes.adagrad(0.3), "AdaGrad, α = 0.3", style.COLOURS["adagrad"]),
    "rmsprop": Walker(
        lambda: notes.rmsprop(0.05), "RMSProp, η = 0.05, β = 0.9", style.COLOURS["rmsprop"]
    ),
    "adam": Walker(lambda: notes.adam(0.1), "Adam, α = 0.1", style.COLOURS["adam"]),
    "adamw": Walker(
        lambda: notes.adamw(0.1, weight_decay=0.3),
        "AdamW, α = 0.1, λ = 0.3",
        style.COLOURS["adamw"],
    ),
    "adam-to-sgd": Walker(
        lambda: adam_to_sgd(0.1, SWITCH, sgd_learning_rate=0.003, carry="momentum"),
        f"Adam, α = 0.1 → SGD, η = 0.003 at t = {SWITCH}",
        style.COLOURS["adam-to-sgd"],
    ),
    "lion": Walker(lambda: lion(0.05), "Lion, α = 0.05", style.RED),
}


def loss(place: Any) -> Any:
    """L(x, y) = ½ ((x − 1)² + 25 y²)."""
    return 0.5 * (CURVATURES * (place - MINIMUM) ** 2).sum(-1)


def paths() -> dict[str, np.ndarray]:
    """Each optimizer's path in float64, (STEPS + 1, 2)."""
    with jax.enable_x64(True):
        start = jnp.array(START)
        return {
            name: np.asarray(
                walk(walker.make(), lambda at, _t, _k: jax.grad(loss)(at), start, STEPS)
            )
            for name, walker in WALKERS.items()
        }


def draw(name: str, path: np.ndarray, sgd: np.ndarray, look: str) -> Figure:
    """The path on the ravine and its loss, SGD's beside it as a thin line."""
    paper, ink, line = INKS[look]
    title, colour = WALKERS[name][1:]
    colour = style.DARK.get(colour, colour) if look == "dark" else colour
    figure = Figure(figsize=(6.4, 2.4), layout="constrained", facecolor=paper)
    ravine, losses = figure.subplots(1, 2, width_ratios=(1.6, 1))
    x, y = np.meshgrid(np.linspace(*WINDOW[0], 150), np.linspace(*WINDOW[1], 150))
    heights = loss(np.stack([x, y], -1))
    ravine.contour(x, y, heights, np.geomspace(0.03, 8, 8), colors=line, linewidths=0.8)
    ravine.plot(*MINIMUM, "+", color=ink, markersize=9)
    ravine.plot(*START, "o", color=ink, markersize=8, markerfacecolor="none")
    if name != "sgd":
        ravine.plot(*sgd.T, color=ink, linewidth=0.6, alpha=0.6)
        losses.semilogy(loss(sgd), color=ink, linewidth=0.8, alpha=0.6, label="SGD")
    ravine.plot(*path.T, ".-", color=colour, linewidth=1.6, markersize=4)
    losses.semilogy(loss(path), color=colour, linewidth=2)
    if name == "adam-to-sgd":
        ravine.plot(*path[SWITCH], "s", color=colour, markersize=8, markeredgecolor=ink)
        losses.plot(SWITCH, loss(path[SWITCH]), "s", color=colour, markeredgecolor=ink)
    ravine.set(xlim=WINDOW[0], ylim=WINDOW[1], xlabel="x", ylabel="y")
    ravine.set_title(title, color=ink)
    losses.set(xlim=(0, STEPS), ylim=(1e-5, 10), xlabel="t")
    losses.set_title("L", color=ink)
    for axes in (ravine, losses):
        dress(axes, paper, ink, line)
    return figure


def dress(axes: Any, paper: str, ink: str, line: str) -> None:
    """The axes in the colours of a light or a dark page."""
    axes.set_facecolor(paper)
    axes.grid(False)
    axes.tick_params(colors=ink)
    axes.xaxis.label.set_color(ink)
    axes.yaxis.label.set_color(ink)
    for spine in axes.spines.values():
        spine.set_color(line)


def main() -> None:
    """Writes the pictures and the numbers."""
    walked = paths()
    numbers = {
        name: {
            "title": WALKERS[name].title,
            "x": path[:, 0].tolist(),
            "y": path[:, 1].tolist(),
            "loss": loss(path).tolist(),
        }
        for name, path in walked.items()
    }
    PICTURES.mkdir(exist_ok=True)
    text = json.dumps(numbers, ensure_ascii=False) + "\n"
    files.write_text(PICTURES / "optimizer-paths.json", text)
    with matplotlib.rc_context(style.RC):
        for name, path in walked.items():
            for look in INKS:
                figure, drawn = draw(name, path, walked["sgd"], look), io.BytesIO()
                figure.savefig(drawn, dpi=120, format="png")
                small = Image.open(drawn).convert("RGB").quantize(64)  # a quarter of the bytes
                with files.open_whole(PICTURES / f"path-{name}-{look}.png") as file:
                    small.save(file, format="png", optimize=True)


if __name__ == "__main__":
    main()
