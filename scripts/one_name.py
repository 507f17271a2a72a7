"""`python scripts/one_name.py` draws the README's picture: one name, four formulas.

The same call, RMSProp at learning rate 0.01, walks down one ravine by each framework's defaults.
The pictures are docs/pictures/one-name-light.png and one-name-dark.png; their numbers are in
one-name.json beside them. Needs the extra `plots`.
"""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import optax
from matplotlib.figure import Figure

from jaxopt_notes import conventions, files, rmsprop
from jaxopt_notes.studies import style

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"
LEARNING_RATE, STEPS = 0.01, 220
CURVATURES = jnp.array([1e-4, 2e-3])  # small, as gradients of a trained network are
START = (1.0, 0.55)
LETTERS = "β {}, ε = {} {} the root, E from {}"
FRAMEWORKS: dict[str, tuple[Any, str]] = {
    "optax and the notes": (rmsprop, LETTERS.format("0.9", "1e-8", "inside", "0")),
    "Keras": (conventions.keras.rmsprop, LETTERS.format("0.9", "1e-7", "inside", "0")),
    "torch": (conventions.torch.rmsprop, LETTERS.format("0.99", "1e-8", "outside", "0")),
    "TensorFlow 1": (
        conventions.tensorflow1.rmsprop,
        LETTERS.format("0.9", "1e-10", "inside", "1"),
    ),
}
COLOURS = {
    "light": ("#0072B2", "#D55E00", "#009E73", "#B0478E"),
    "dark": ("#56B4E9", "#FF9A5C", "#4FD6AC", "#E69AC8"),
}
INKS = {"light": ("#FFFFFF", "#222222", "#D5D5D0"), "dark": ("#0D1117", "#E6E6E3", "#30363D")}


def loss(place: Any) -> Any:
    """L(x, y) = ½ (λ₁ x² + λ₂ y²)."""
    return 0.5 * (CURVATURES * place**2).sum(-1)


def path(optimizer: optax.GradientTransformation) -> np.ndarray:
    """Where it stands before each step and after the last, float64 (STEPS + 1, 2)."""

    def step(carry: Any, _: None) -> Any:
        place, state = carry
        updates, state = optimizer.update(jax.grad(loss)(place), state, place)
        return (optax.apply_updates(place, updates), state), place

    start = jnp.array(START)
    _, places = jax.lax.scan(step, (start, optimizer.init(start)), length=STEPS + 1)
    return np.asarray(places)


def draw(paths: dict[str, np.ndarray], look: str) -> Figure:
    """The four paths on the ravine, and their losses."""
    paper, ink, line = INKS[look]
    figure = Figure(figsize=(9, 4.1), layout="constrained", facecolor=paper)
    ravine, losses = figure.subplots(1, 2, width_ratios=(1.35, 1))
    x, y = np.meshgrid(np.linspace(-0.25, 1.15, 200), np.linspace(-0.25, 0.7, 200))
    heights = np.asarray(loss(np.stack([x, y], -1)))
    ravine.contour(x, y, heights, np.geomspace(1e-7, 1e-3, 15), colors=line, linewidths=0.9)
    ravine.plot(0, 0, "+", color=ink, markersize=9)
    for (name, places), colour in zip(paths.items(), COLOURS[look]):
        ravine.plot(*places.T, color=colour, linewidth=2.2)
        ravine.plot(*places[25], "o", color=colour, markersize=6)
        losses.semilogy(loss(places), color=colour, linewidth=2.2, label=name)
    ravine.plot(*START, "o", color=ink, markersize=12, markerfacecolor="none")
    ravine.annotate("start", START, xytext=(9, 6), textcoords="offset points", color=ink)
    ravine.set(xlim=(-0.25, 1.15), ylim=(-0.25, 0.7), xlabel="x", ylabel="y")
    ravine.set_title("Dots: where each stands after 25 steps", color=ink)
    losses.set(xlim=(0, STEPS), ylim=(1e-8, 1e-3), xlabel="step")
    losses.set_title("Loss", color=ink)
    for axes in (ravine, losses):
        axes.set_facecolor(paper)
        axes.grid(False)
        axes.tick_params(colors=ink)
        axes.xaxis.label.set_color(ink)
        axes.yaxis.label.set_color(ink)
        for spine in axes.spines.values():
            spine.set_color(line)
    legend = figure.legend(loc="outside lower center", ncols=4, fontsize=10)
    for text in legend.get_texts():
        text.set_color(ink)
    figure.suptitle(
        "RMSProp(learning rate 0.01): one call, four formulas",
        color=ink,
        fontsize=13,
        weight="bold",
        x=0.01,
        ha="left",
    )
    return figure


def main() -> None:
    """Writes both pictures and the numbers."""
    with jax.enable_x64(True):
        paths = {name: path(make(LEARNING_RATE)) for name, (make, _) in FRAMEWORKS.items()}
        numbers = {
            name: {
                "formula": FRAMEWORKS[name][1],
                "x": places[:, 0].tolist(),
                "y": places[:, 1].tolist(),
                "loss": np.asarray(loss(places)).tolist(),
            }
            for name, places in paths.items()
        }
        PICTURES.mkdir(exist_ok=True)
        files.write_text(PICTURES / "one-name.json", json.dumps(numbers, ensure_ascii=False) + "\n")
        with matplotlib.rc_context(style.RC):
            for look in COLOURS:
                with files.open_whole(PICTURES / f"one-name-{look}.png") as file:
                    draw(paths, look).savefig(file, dpi=150, format="png")


if __name__ == "__main__":
    main()
