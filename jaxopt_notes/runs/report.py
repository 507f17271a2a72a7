"""What a run says of itself: its settings, header, a line an epoch, scores and summary."""

import json
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import flax
import jax
import numpy as np
import optax

from jaxopt_notes import __version__
from jaxopt_notes.data import Dataset
from jaxopt_notes.models import parameter_count
from jaxopt_notes.runs import checkpoint, folder, plots
from jaxopt_notes.training import adam_to_sgd
from jaxopt_notes.training.evaluation import Weights, evaluate_classes
from jaxopt_notes.training.network import describe_network
from jaxopt_notes.training.run import Run


def describe(run: Run) -> dict[str, Any]:
    """What it takes to know or to repeat a run: settings, versions, device, data, network."""
    device = jax.devices()[0]
    return {
        "jaxopt_notes": __version__,
        "versions": {m.__name__: m.__version__ for m in (jax, flax, optax)},
        "device": {
            "kind": device.device_kind,
            "count": run.layout.devices,
            "processes": jax.process_count(),
            "cores": os.cpu_count(),
            **run.layout.memory(jax.eval_shape(run.optimizer.init, run.model.params)),
        },
        "config": run.config.as_json(),
        "data": {
            "name": run.data.name,
            "note": run.data.note,
            "train": len(run.data.train_labels),
            "test": len(run.data.test_labels),
            "image_shape": list(run.data.train_images.shape[1:]),
            "class_names": list(run.data.class_names),
            "mean": list(run.normalize.mean),
            "std": list(run.normalize.std),
            "fingerprint": fingerprint(run.data),
        },
        "model": {"name": run.config.model, "parameters": parameter_count(run.model.params)},
        "steps_per_epoch": run.steps_per_epoch,
    }


def fingerprint(data: Dataset) -> str:
    """Eight hexadecimal digits that change with any pixel or label."""
    crc = 0
    for array in data[1:5]:
        crc = zlib.crc32(np.ascontiguousarray(array).data, crc)
    return f"{crc:08x}"


def header(run: dict[str, Any], notes: Sequence[str] = ()) -> str:
    """The lines before the first epoch; a resumed run's `notes` are among them."""
    data, config, device = run["data"], run["config"], run["device"]
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    hyper = "".join(f", {name}={value}" for name, value in config["hyperparameters"].items())
    if config["switch_at"] is not None:
        hyper += f", switch_at={config['switch_at']}"
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
    if device["count"] > 1:
        lines.append(_sharing(device))
    if data["note"]:
        lines.insert(1, data["note"])
    columns = "epoch   train loss    acc     test loss    acc     seconds"
    return "\n".join([*lines, *notes, "", columns])


def _sharing(device: dict[str, Any]) -> str:
    held, whole = (device[f"optimizer_state{x}"] / 1e6 for x in ("", "_whole"))
    saved = f" instead of {whole:.2f}" if held < whole else ""
    count, processes = device["count"], device["processes"]
    of = f" of {processes} processes" if processes > 1 else ""
    return f"{count} devices{of} share each batch; optimizer state: {held:.2f} MB on each{saved}"


def row_text(row: dict[str, Any]) -> str:
    """An epoch's line under the header."""
    text = (
        f"{row['epoch']:5d}   {row['train_loss']:10.4f}  {row['train_accuracy']:6.2%}   "
        f"{row['test_loss']:9.4f}  {row['test_accuracy']:6.2%}   {row['seconds']:8.1f}"
    )
    # Said once, in the line of the epoch that it happened in.
    before = row["step"] - row["step"] // row["epoch"]
    happened = (row.get("switched_at") or 0) > before
    return f"{text}   {adam_to_sgd.text(row)}" if happened else text


class Summary(NamedTuple):
    """How a run ended, for a person and for a program."""

    text: str
    value: dict[str, Any]


def finish(out: Path, run: Run, rows: Sequence[dict[str, Any]], weights: Weights | None) -> Summary:
    """Scores each class, writes metrics.json, draws the pictures, and sums the run up.

    Args:
      out: the run's folder.
      run: from `prepare`.
      rows: the finished epochs'.
      weights: kept after the last finished epoch; None where there is none.

    Returns:
      The summary, which lists the run's files and names the class found least.
    """
    if weights is None:
        text = f"stopped within an epoch; {out}" if rows else f"no epoch was finished; {out}"
        return Summary(text, {"summary": None, "out": str(out)})
    evaluation = evaluate_classes(weights, run.model, run.normalize, run.data)
    last, worst = rows[-1], evaluation.worst
    folder.write_text(out / "metrics.json", _a_row_a_line(evaluation.as_json()))
    drawn = plots.draw(out, rows, evaluation, run.data, run.config.optimizer)
    files = ("config.json", "metrics.jsonl", "metrics.json", *drawn)
    if not run.config.checkpoint_every.never:
        files += (checkpoint.FOLDER,)
    text = (
        f"\n{last['test_accuracy']:.2%} of {len(run.data.test_labels):,} test images right after "
        f"{last['step']:,} steps in {last['seconds']:.1f} s"
        f"{'; ' if 'switched_at' in last else ''}{adam_to_sgd.text(last)}\n"
        f"{_best_text(rows)}"
        f"lowest recall: {worst.recall:.2%} of the {worst.support:,} of class {worst.name}\n"
        f"{out}: {', '.join(files)}"
    )
    if not drawn:
        text += "; for pictures install jaxopt-notes[plots]"
    value = {"summary": last, "worst_class": worst._asdict(), "out": str(out), "files": files}
    return Summary(text, value)


def _best_text(rows: Sequence[dict[str, Any]]) -> str:
    """A line on the best epoch, whose checkpoint is kept; empty where it is the last."""
    best = max(rows, key=lambda row: row["test_accuracy"])
    if best["test_accuracy"] == rows[-1]["test_accuracy"]:
        return ""
    return f"best: {best['test_accuracy']:.2%} after epoch {best['epoch']}\n"


def _a_row_a_line(value: dict[str, Any]) -> str:
    """JSON for a person to read: each element of a list, such as a matrix's row, on its line."""
    members = []
    for key, item in value.items():
        text = json.dumps(item)
        if isinstance(item, list):
            rows = (f"\n    {json.dumps(row, ensure_ascii=False)}" for row in item)
            text = f"[{','.join(rows)}\n  ]"
        members.append(f"\n  {json.dumps(key)}: {text}")
    return f"{{{','.join(members)}\n}}\n"
