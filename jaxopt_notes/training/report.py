"""What a run leaves in its folder: config.json, metrics.jsonl and curves.png.

The rest is what a run says of itself: the header, a line an epoch, the summary.
"""

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import flax
import jax
import optax

from jaxopt_notes import __version__
from jaxopt_notes.models import parameter_count
from jaxopt_notes.training.network import describe_network
from jaxopt_notes.training.run import Run


def draw_curves(path: Path, rows: Sequence[dict[str, Any]], title: str) -> bool:
    """Draws loss and accuracy over the epochs; False where matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator, PercentFormatter
    except ImportError:
        return False
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    panels = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in rows]
    for panel, what in zip(panels, ("loss", "accuracy")):
        for part, style in (("train", "o--"), ("test", "o-")):
            values = [row[f"{part}_{what}"] for row in rows]
            panel.plot(epochs, values, style, markersize=4, label=part)
        panel.set_xlabel("epoch")
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("cross-entropy (nats)")
    panels[0].set_yscale("log")
    panels[1].set_ylabel("accuracy")
    panels[1].yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=1))
    panels[1].legend(loc="lower right")
    figure.suptitle(title)
    beside = path.with_name(f".{path.stem}.part{path.suffix}")
    figure.savefig(beside, dpi=150)
    os.replace(beside, path)
    return True


def describe(run: Run) -> dict[str, Any]:
    """What it takes to know or to repeat a run: settings, versions, device, data, network."""
    device = jax.devices()[0]
    return {
        "jaxopt_notes": __version__,
        "versions": {m.__name__: m.__version__ for m in (jax, flax, optax)},
        "device": {
            "kind": device.device_kind,
            "count": jax.device_count(),
            "cores": os.cpu_count(),
        },
        "config": asdict(run.config),
        "data": {
            "name": run.data.name,
            "note": run.data.note,
            "train": len(run.data.train_labels),
            "test": len(run.data.test_labels),
            "image_shape": list(run.data.train_images.shape[1:]),
            "class_names": list(run.data.class_names),
            "mean": list(run.normalize.mean),
            "std": list(run.normalize.std),
        },
        "model": {"name": run.config.model, "parameters": parameter_count(run.model.params)},
        "steps_per_epoch": run.steps_per_epoch,
    }


def header(run: dict[str, Any]) -> str:
    """The lines before the first epoch."""
    data, config, device = run["data"], run["config"], run["device"]
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    hyper = "".join(f", {name}={value}" for name, value in config["hyperparameters"].items())
    shape = "×".join(map(str, data["image_shape"]))
    lines = [
        f"jaxopt_notes {run['jaxopt_notes']} · {versions} · {device['count']} × {device['kind']}"
        f", {device['cores']} cores",
        f"{data['name']}: {data['train']:,} training and {data['test']:,} test images, {shape}, "
        f"{len(data['class_names'])} classes",
        f"{describe_network(config)}: {run['model']['parameters']:,} parameters",
        f"{config['optimizer']}({config['learning_rate']:g} {config['schedule']}{hyper}): "
        f"{config['epochs']} × {run['steps_per_epoch']} steps, batch "
        f"{config['batch_size']}, seed {config['seed']}",
    ]
    if data["note"]:
        lines.insert(1, data["note"])
    return "\n".join([*lines, "", "epoch   train loss    acc     test loss    acc     seconds"])


def row_text(row: dict[str, Any]) -> str:
    """An epoch's line under the header."""
    return (
        f"{row['epoch']:5d}   {row['train_loss']:10.4f}  {row['train_accuracy']:6.2%}   "
        f"{row['test_loss']:9.4f}  {row['test_accuracy']:6.2%}   {row['seconds']:8.1f}"
    )


class Summary(NamedTuple):
    """How a run ended, for a person and for a program."""

    text: str
    value: dict[str, Any]


def finish(folder: Path, run: dict[str, Any], rows: Sequence[dict[str, Any]]) -> Summary:
    """Draws the curves and sums the run up."""
    if not rows:
        return Summary(f"no epoch was finished; {folder}", {"summary": None, "out": str(folder)})
    last = rows[-1]
    config, data = run["config"], run["data"]
    title = f"{config['optimizer']} on {data['name']}: {last['test_accuracy']:.2%} of the test set"
    drawn = draw_curves(folder / "curves.png", rows, title)
    files = "config.json, metrics.jsonl" + (", curves.png" if drawn else "")
    text = (
        f"\n{last['test_accuracy']:.2%} of {data['test']:,} test images right after "
        f"{last['step']:,} steps in {last['seconds']:.1f} s\n{folder}: {files}"
    )
    if not drawn:
        text += "; for a picture of the curves install jaxopt-notes[plots]"
    return Summary(text, {"summary": last, "out": str(folder), "curves": drawn})
