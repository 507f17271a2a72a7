"""Reports a run: its description, header, a line per epoch, scores and summary."""

import json
import math
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import flax
import jax
import numpy as np
import optax

from jaxopt_notes import __version__, files
from jaxopt_notes.config.settings import ROWS
from jaxopt_notes.data import Dataset
from jaxopt_notes.models import parameter_count
from jaxopt_notes.runs import plots
from jaxopt_notes.runs.info import DataInfo, DeviceInfo, ModelInfo, RunInfo
from jaxopt_notes.training import adam_to_sgd
from jaxopt_notes.training.evaluation import Weights, evaluate_classes
from jaxopt_notes.training.network import describe_network
from jaxopt_notes.training.progress import EpochRow
from jaxopt_notes.training.setup import Setup

_EACH_SHOWN = 50  # epochs: a run of more need not print every row


def describe(setup: Setup) -> RunInfo:
    """The description of a run for `config.json`."""
    data = setup.data
    return RunInfo(
        jaxopt_notes=__version__,
        versions={m.__name__: m.__version__ for m in (jax, flax, optax)},
        device=_device(setup),
        config=setup.config,
        data=DataInfo(
            name=data.name,
            note=data.note,
            train=len(data.train_labels),
            test=len(data.test_labels),
            image_shape=data.train_images.shape[1:],
            class_names=data.class_names,
            mean=setup.normalize.mean,
            std=setup.normalize.std,
            fingerprint=fingerprint(data),
        ),
        model=ModelInfo(name=setup.config.model, parameters=parameter_count(setup.model.params)),
        steps_per_epoch=setup.steps_per_epoch,
    )


def _device(setup: Setup) -> DeviceInfo:
    opt_state = jax.eval_shape(setup.optimizer.init, setup.model.params)
    return DeviceInfo(
        kind=jax.devices()[0].device_kind,
        count=setup.layout.devices,
        processes=jax.process_count(),
        cores=os.cpu_count(),
        **setup.layout.memory(opt_state),
    )


def fingerprint(data: Dataset) -> str:
    """Eight hexadecimal digits that change if any pixel or label changes."""
    crc = 0
    for array in data[1:5]:
        crc = zlib.crc32(np.ascontiguousarray(array).data, crc)
    return f"{crc:08x}"


def header(info: RunInfo, notes: Sequence[str] = ()) -> str:
    """The lines before the first epoch, with the notes of a resumed run."""
    data, config, device = info.data, info.config, info.device
    versions = ", ".join(f"{name} {version}" for name, version in info.versions.items())
    hyper = "".join(f", {name}={value}" for name, value in config.hyperparameters.items())
    if config.switch_at is not None:
        hyper += f", switch_at={config.switch_at}"
    shape = "×".join(map(str, data.image_shape))
    lines = [
        f"jaxopt_notes {info.jaxopt_notes} · {versions} · {device.count} × {device.kind}"
        f", {device.cores} cores",
        f"{data.name}: {data.train:,} training and {data.test:,} test images, {shape}, "
        f"{len(data.class_names)} classes",
        f"{describe_network(config)}: {info.model.parameters:,} parameters",
        f"{config.optimizer}({config.learning_rate:g} {config.schedule}{hyper}): "
        f"{config.epochs} × {info.steps_per_epoch} steps, batch "
        f"{config.batch_size}, seed {config.seed}",
    ]
    if device.count > 1:
        lines.append(_sharing(device))
    if data.note:
        lines.insert(1, data.note)
    if config.epochs > _EACH_SHOWN:
        lines.append(
            "at most about one row per second is shown; metrics.jsonl has a row for each epoch"
        )
    columns = "epoch   train loss    acc     test loss    acc     seconds"
    return "\n".join([*lines, *notes, "", columns])


def _sharing(device: DeviceInfo) -> str:
    part, whole = device.optimizer_state / 1e6, device.optimizer_state_whole / 1e6
    saved = f" instead of {whole:.2f}" if part < whole else ""
    processes = f" of {device.processes} processes" if device.processes > 1 else ""
    return (
        f"{device.count} devices{processes} share each batch; "
        f"optimizer state: {part:.2f} MB on each{saved}"
    )


def row_text(row: EpochRow) -> str:
    """An epoch's line under the header."""
    text = (
        f"{row['epoch']:5d}   {row['train_loss']:10.4f}  {row['train_accuracy']:6.2%}   "
        f"{row['test_loss']:9.4f}  {row['test_accuracy']:6.2%}   {row['seconds']:8.1f}"
    )
    return f"{text}   {adam_to_sgd.text(row)}" if _switched(row) else text


def _switched(row: EpochRow) -> bool:
    """Whether the run switched to SGD in this epoch."""
    steps_before = row["step"] - row["step"] // row["epoch"]
    return (row.get("switched_at") or 0) > steps_before


def is_shown(rows: Sequence[EpochRow], epochs: int) -> bool:
    """Whether to print the newest row; a run of many short epochs prints about one per second.

    Args:
      rows: one for each finished epoch, at least one.
      epochs: how many the run will have.

    >>> rows = [{"epoch": i, "step": i, "seconds": 0.4 * i} for i in range(1, 101)]
    >>> [i for i in range(1, 101) if is_shown(rows[:i], 100)][:4]
    [1, 3, 5, 8]
    >>> is_shown(rows, 100), all(is_shown(rows[:i], 50) for i in range(1, 51))
    (True, True)
    """
    row = rows[-1]
    if epochs <= _EACH_SHOWN or len(rows) == 1 or row["epoch"] == epochs or _switched(row):
        return True
    return int(row["seconds"]) > int(rows[-2]["seconds"])


CHANCE = 0.98  # a loss above this share of chance level counts as chance level
EARLY = 50  # steps in which a loss may still be at chance level


def learning_rate_hint(info: RunInfo, rows: Sequence[EpochRow]) -> str:
    """A line about the learning rate where the loss is still at chance level.

    The line is due once: after the first epoch that ends past the warm-up and the first steps, or
    after the last epoch. Guessing among K classes has the loss ln K.

    Args:
      info: the run's description.
      rows: one for each finished epoch.

    Returns:
      The line; empty where it is not due or the loss has fallen.
    """
    config, steps = info.config, info.steps_per_epoch
    settled = max(EARLY, math.ceil(config.warmup * config.epochs * steps))
    due = min(config.epochs, math.ceil(settled / steps))
    guess = math.log(len(info.data.class_names))
    # A few high losses at the start can raise an epoch's mean, so the loss after it counts too.
    if len(rows) != due or min(rows[-1]["train_loss"], rows[-1]["test_loss"]) < CHANCE * guess:
        return ""
    usual = ROWS["learning_rate"].choose(config.values())
    if config.learning_rate < usual:
        remedy = f"try a larger --learning-rate, such as {usual:g}"
    else:
        smaller = usual if config.learning_rate > usual else usual / 10
        remedy = f"try a smaller --learning-rate, such as {smaller:g}"
    return (
        f"hint: after {rows[-1]['step']:,} steps the training loss ({rows[-1]['train_loss']:.4g}) "
        f"is no lower than that of guessing ({guess:.4g}); the learning rate is "
        f"{config.learning_rate:g}: {remedy}"
    )


class Summary(NamedTuple):
    """How a run ended, for a person and for a program."""

    text: str
    value: dict[str, Any]


def finish(
    folder: Path, setup: Setup, rows: Sequence[EpochRow], weights: Weights | None
) -> Summary:
    """Scores each class, writes metrics.json, draws the pictures, and sums the run up.

    Args:
      folder: the run's folder.
      setup: from `prepare`.
      rows: one for each finished epoch.
      weights: the weights after the last finished epoch; None if the run stopped within an epoch.

    Returns:
      The summary, which lists the run's files and names the class with the lowest recall.
    """
    if weights is None:
        text = "stopped during an epoch" if rows else "no epoch was finished"
        return Summary(f"{text}; {folder}", {"summary": None, "out": str(folder)})
    evaluation = evaluate_classes(weights, setup.model, setup.normalize, setup.data)
    files.write_text(folder / "metrics.json", _one_line_per_row(evaluation.as_json()))
    drawn = plots.draw(folder, rows, evaluation, setup.data, setup.config.optimizer)
    names = ("config.json", "metrics.jsonl", "metrics.json", *drawn.files)
    if not setup.config.checkpoint_every.never:
        from jaxopt_notes.runs import checkpoint  # imports orbax: not before the first step

        names += (checkpoint.FOLDER,)
    last, worst = rows[-1], evaluation.worst
    switch = f"{'; ' if 'switched_at' in last else ''}{adam_to_sgd.text(last)}"
    text = (
        f"\n{last['test_accuracy']:.2%} of {len(setup.data.test_labels):,} test images right after "
        f"{last['step']:,} steps in {last['seconds']:.1f} s{switch}\n"
        f"{_best_text(rows)}"
        f"lowest recall: {worst.recall:.2%} of the {worst.support:,} of class {worst.name}\n"
        f"{folder}: {', '.join(names)}"
    )
    if drawn.lacking:
        text += f"\n{drawn.lacking}"
    if not drawn.files:
        text += "; for pictures install jaxopt-notes[plots]"
    value = {"summary": last, "worst_class": worst._asdict(), "out": str(folder), "files": names}
    return Summary(text, value)


def _best_text(rows: Sequence[EpochRow]) -> str:
    """A line about the best epoch, which has a checkpoint; empty if the last epoch equals it."""
    best = max(rows, key=lambda row: row["test_accuracy"])
    if best["test_accuracy"] == rows[-1]["test_accuracy"]:
        return ""
    return f"best: {best['test_accuracy']:.2%} after epoch {best['epoch']}\n"


def _one_line_per_row(value: dict[str, Any]) -> str:
    """JSON that people can read: each element of a list, such as a matrix's row, has a line."""
    members = []
    for key, item in value.items():
        text = json.dumps(item)
        if isinstance(item, list):
            rows = (f"\n    {json.dumps(row, ensure_ascii=False)}" for row in item)
            text = f"[{','.join(rows)}\n  ]"
        members.append(f"\n  {json.dumps(key)}: {text}")
    return f"{{{','.join(members)}\n}}\n"
