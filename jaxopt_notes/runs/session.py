"""One process's part of a run: from the first step, or the step where it stopped, to its end."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import jax

from jaxopt_notes.config.schedulers import is_call
from jaxopt_notes.config.settings import Settings
from jaxopt_notes.config.table import OnResume
from jaxopt_notes.data.dataset import TURNED, turned_since
from jaxopt_notes.errors import InputError, first_line
from jaxopt_notes.runs.info import RunInfo
from jaxopt_notes.runs.recorder import Recorder
from jaxopt_notes.runs.resume import Resumed
from jaxopt_notes.runtime.processes import largest, leads
from jaxopt_notes.runtime.signals import NAMES, caught
from jaxopt_notes.training import epochs
from jaxopt_notes.training.evaluation import Weights, copy_weights
from jaxopt_notes.training.loop import DivergedError
from jaxopt_notes.training.progress import EpochRow, Progress, zero_sums
from jaxopt_notes.training.schedules import schedule
from jaxopt_notes.training.setup import Setup

TRACED = range(10, 20)  # steps of this process that are profiled: the first ones are slower

Show = Callable[[Progress, EpochRow | None], None]


def refuse_other_data(before: RunInfo, now: RunInfo, override: bool) -> None:
    """Raises InputError if a resumed run would go on with a data set other than its own."""
    option, old, new = f"--dataset {now.config.dataset}", before.data, now.data
    turned = turned_since(old.note, new.note)
    if old.image_shape != new.image_shape:
        shapes = ["×".join(map(str, data.image_shape)) for data in (new, old)]
        if turned:
            raise InputError(
                f"{option}: its images are now {TURNED} and so {shapes[0]}, but this run was "
                f"trained on {shapes[1]}; start a new run"
            )
        raise InputError(
            f"{option}: its images are {shapes[0]}, but this run was trained on {shapes[1]}; "
            "pass the data set it was trained on"
        )
    if old.class_names != new.class_names:
        raise InputError(
            f"{option}: its classes are not the {len(old.class_names)} that this run was trained "
            "on; pass the data set it was trained on"
        )
    if has_other_data(before, now) and not override:
        if turned:
            raise InputError(
                f"{option}: some of its images are now {TURNED}, which they were not when this "
                "run began; start a new run, or add --override to train on with the turned images"
            )
        renamed = before.config.dataset != now.config.dataset
        wrong = "are not this run's" if renamed else "have changed since this run began"
        raise InputError(
            f"{option}: its images or labels {wrong}; pass the data set it was trained on, or add "
            "--override"
        )


def has_other_data(before: RunInfo, now: RunInfo) -> bool:
    """Whether the images or labels differ; a data set may have moved to another folder."""
    if not before.data.fingerprint:  # an early version wrote the run
        return before.config.dataset != now.config.dataset
    return before.data.fingerprint != now.data.fingerprint


class Begun(NamedTuple):
    """The start of a run: its progress, its training steps, and lines about how it was resumed."""

    progress: Progress
    steps: epochs.Steps
    notes: list[str]


def begin(setup: Setup, info: RunInfo, folder: Path, resumed: Resumed | None) -> Begun:
    """Begins a new run, or resumes the run in a folder from its newest checkpoint.

    Args:
      setup: from `prepare`.
      info: the description of this part of the run.
      folder: the run's folder.
      resumed: the run in the folder, if it is to be resumed; None for a new run.
    """
    progress, steps = epochs.begin(setup)
    if resumed is None:
        return Begun(progress, steps, [])
    from jaxopt_notes.runs import checkpoint  # imports orbax, which a new run needs later

    notes: list[str] = []
    new_optimizer = resumed.means(OnResume.NEW_OPTIMIZER)
    with checkpoint.open_checkpoints(folder) as checkpoints:
        newest = checkpoint.restore_newest(checkpoints, progress.state, notes.append, new_optimizer)
    if newest is None:
        return Begun(progress, steps, [*notes, "no checkpoint yet; training from the first step"])
    progress = newest.progress
    if resumed.means(OnResume.NEW_ORDER) or has_other_data(resumed.info, info):
        progress = progress._replace(step_in_epoch=0, sums=zero_sums())
    note = f"resumed after step {progress.step:,}, in epoch {progress.epoch + 1}"
    notes.append(f"{note}, with a new optimizer" if new_optimizer else note)
    if line := stretched(resumed.info, info, progress.step):
        notes.append(line)
    old, new = newest.info.software, info.software
    if different := [f"{k} {old.get(k)} → {v}" for k, v in new.items() if old.get(k) != v]:
        notes.append(
            f"the last digits may differ from an uninterrupted run's: {', '.join(different)}"
        )
    return Begun(progress, steps, notes)


def stretched(before: RunInfo, now: RunInfo, step: int) -> str:
    """A line on how a new number of epochs changes the learning rate; empty for the old number.

    Every schedule is stretched over the whole run, except torch's schedulers and a constant
    learning rate without a warm-up.
    """
    old, new = before.config, now.config
    whole = is_call(new.schedule) or (new.schedule == "constant" and not new.warmup)
    if old.epochs == new.epochs or whole:
        return ""
    verb = "stretched" if new.epochs > old.epochs else "shortened"
    head = f"the {new.schedule} schedule is {verb} from {old.epochs} to {new.epochs} epochs"
    if new.switch_at is not None:
        return f"{head}; SGD's learning rate and a switch in the future change with it"
    at_before, at_now = (
        float(schedule(c.schedule, c.learning_rate, steps * c.epochs, c.warmup)(step))
        for c, steps in ((old, before.steps_per_epoch), (new, now.steps_per_epoch))
    )
    return (
        f"{head}: the learning rate at the next step changes from {at_before:.3g} to {at_now:.3g}"
    )


class Outcome(NamedTuple):
    """How a training ended.

    Attributes:
      rows: one for each finished epoch.
      weights: the weights after the last finished epoch; None where no epoch was finished.
      exit_code: the command's exit code.
      message: a line for the user; empty if the last epoch was finished.
    """

    rows: Sequence[EpochRow]
    weights: Weights | None
    exit_code: int
    message: str


def train(setup: Setup, begun: Begun, recorder: Recorder, show: Show) -> Outcome:
    """Trains until the last epoch, a signal, a loss that is not finite, or stagnation.

    Args:
      setup: from `prepare`.
      begun: from `begin`.
      recorder: writes the run's files.
      show: called with the progress and the epoch's row after each stretch of steps.
    """
    config, progress = setup.config, begun.progress
    at_epoch_end = progress.rows and progress.step_in_epoch == 0
    weights = copy_weights(progress.state) if at_epoch_end else None
    first = progress.step
    traced = range(first + TRACED.start, first + TRACED.stop) if config.profile else range(0)
    exit_code, message = 0, ""
    with caught() as stop, _profile(recorder.folder, traced) as trace:
        try:
            stretches = epochs.train(setup, progress, begun.steps, [traced.start, traced.stop])
            for progress, row in stretches:
                trace(progress.step)
                recorder.add(progress, row)  # before showing it: what is shown must not be lost
                show(progress, row)
                if row is not None:
                    weights = copy_weights(progress.state)
                if signal := largest(stop.signal or 0):
                    exit_code, message = 128 + signal, NAMES.get(signal, "")
                    break
                if config.patience and _stagnates(progress.rows, config.patience):
                    message = f"stopped early: no better test accuracy in {config.patience} epochs"
                    break
            recorder.save(progress)
        except DivergedError as error:
            if config.on_nonfinite == "save":
                recorder.save(progress)
            exit_code, message = 2, _diverged(error, config)
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            raise InputError(
                f"--batch-size {config.batch_size}: the device does not have enough memory "
                f"({first_line(error)}); pass a smaller one"
            ) from error
        finally:
            recorder.close()
    return Outcome(progress.rows, weights, exit_code, message)


def _stagnates(rows: Sequence[EpochRow], patience: int) -> bool:
    """Whether the best test accuracy is at least `patience` epochs old."""
    accuracies = [row["test_accuracy"] for row in rows]
    best = accuracies.index(max(accuracies)) if accuracies else 0
    return len(rows) - 1 - best >= patience


def _diverged(error: DivergedError, config: Settings) -> str:
    return (
        f"error: the loss is not finite at step {error.step}; try a smaller --learning-rate than "
        f"{config.learning_rate:g}, a longer --warmup, or --clip-norm"
    )


@contextlib.contextmanager
def _profile(folder: Path, traced: range) -> Iterator[Callable[[int], None]]:
    """Within the block, `trace(step)` runs JAX's profiler over a range of steps."""
    running = False

    def trace(step: int) -> None:
        nonlocal running
        if not traced or not leads():
            return
        if step == traced.start:
            jax.profiler.start_trace(str(folder / "profile"), create_perfetto_trace=True)
            running = True
        elif step == traced.stop:
            jax.profiler.stop_trace()
            running = False

    try:
        yield trace
    finally:
        if running:  # the run had fewer steps
            jax.profiler.stop_trace()
