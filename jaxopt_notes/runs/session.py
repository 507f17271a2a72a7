"""One process's part of a run: from its beginning, or where it was left, to its end."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from jaxopt_notes.config.settings import Settings
from jaxopt_notes.config.table import OnResume
from jaxopt_notes.errors import InputError
from jaxopt_notes.runs import checkpoint
from jaxopt_notes.runs.folder import reason
from jaxopt_notes.runs.recorder import Record
from jaxopt_notes.runs.resume import Resumed
from jaxopt_notes.runtime.processes import largest, leads
from jaxopt_notes.runtime.signals import NAMES, caught
from jaxopt_notes.training import run
from jaxopt_notes.training.evaluation import Weights, keep
from jaxopt_notes.training.loop import DivergedError, zero_sums
from jaxopt_notes.training.run import Moment, Position, Run
from jaxopt_notes.training.schedules import schedule

TRACED = range(10, 20)  # steps of this process: after those that pay for the start


class Start(NamedTuple):
    """Where the process begins: the position, the rows of the epochs before, and what to tell."""

    position: Position
    rows: list[dict[str, Any]]
    lines: list[str]


def refuse_other_data(before: dict[str, Any], now: dict[str, Any], override: bool) -> None:
    """Raises InputError where a resumed run would go on with data that it did not begin with."""
    name = now["config"]["dataset"]
    old, new = before["data"], now["data"]
    for part in ("image_shape", "class_names"):
        if old[part] != new[part]:
            raise InputError(f"--dataset {name}: has other {part} than the run; give its own")
    if old["fingerprint"] != new["fingerprint"] and not override:
        raise InputError(
            f"--dataset {name}: its images or labels are not those that the run began with; give "
            "them, or add --override"
        )


def start(ready: Run, out: Path, resumed: Resumed | None) -> Start:
    """The first position, or the one that the run in `out` was left at.

    Args:
      ready: from `run.prepare`.
      out: the run's folder.
      resumed: the run that the folder holds, to go on with it; None for a new one.
    """
    position = run.first_position(ready)
    if resumed is None:
        return Start(position, [], [])
    lines: list[str] = []
    with checkpoint.open_checkpoints(out) as checkpoints:
        new_optimizer = resumed.means(OnResume.NEW_OPTIMIZER)
        found = checkpoint.restore_newest(checkpoints, position.state, lines.append, new_optimizer)
    if found is None:
        lines.append("no checkpoint yet: from the first step on")
        return Start(position, [], lines)
    position = found.position
    if resumed.means(OnResume.NEW_ORDER):
        position = position._replace(in_epoch=0, sums=zero_sums())
    where = f"resumed after step {int(position.state.step):,}, in epoch {position.epoch + 1}"
    lines.append(f"{where}, with a new optimizer" if new_optimizer else where)
    if line := stretched(resumed.old, resumed.described["steps_per_epoch"], ready, position):
        lines.append(line)
    if (theirs := found.told["versions"]) != (ours := checkpoint.versions()):
        names = [f"{k} {theirs.get(k)} → {v}" for k, v in ours.items() if theirs.get(k) != v]
        lines.append(f"the digits may differ from an unbroken run's: {', '.join(names)}")
    return Start(position, found.rows, lines)


def stretched(old: Settings, old_steps_per_epoch: int, ready: Run, position: Position) -> str:
    """A line on what another number of epochs does to the learning rate; empty for the old one.

    The schedules are shapes over the whole run, all but the constant one without a warm-up.
    """
    new = ready.config
    if old.epochs == new.epochs or (new.schedule == "constant" and not new.warmup):
        return ""
    verb = "stretched" if new.epochs > old.epochs else "shortened"
    head = f"the {new.schedule} schedule is {verb} from {old.epochs} to {new.epochs} epochs"
    if new.switch_at is not None:
        return f"{head}, and so are SGD's learning rate and a switch that is still to come"
    step = int(position.state.step)
    before, now = (
        float(schedule(each.schedule, each.learning_rate, steps * each.epochs, each.warmup)(step))
        for each, steps in ((old, old_steps_per_epoch), (new, ready.steps_per_epoch))
    )
    return f"{head}: the learning rate at the next step changes from {before:.3g} to {now:.3g}"


class Ended(NamedTuple):
    """How it ended: the weights after its last epoch, the exit code, and a line for the user."""

    weights: Weights | None
    code: int
    line: str


def go(ready: Run, begun: Start, record: Record, show: Callable[[Moment], None]) -> Ended:
    """Trains until the last epoch, a signal, a loss that is not finite, or no more progress.

    Args:
      ready: from `run.prepare`.
      begun: where to begin.
      record: takes note of each moment.
      show: is called at each.
    """
    config, position = ready.config, begun.position
    step = int(position.state.step)
    traced = range(step + TRACED.start, step + TRACED.stop) if config.profile else range(0)
    weights = keep(position.state) if begun.rows and position.in_epoch == 0 else None
    code, line = 0, ""
    with caught() as stop:
        try:
            for moment in run.train(ready, position, [traced.start, traced.stop]):
                position = moment.position
                step = int(position.state.step)
                if leads():
                    _trace(record.out, traced, step)
                show(moment)
                record.add(moment)
                if moment.row is not None:
                    weights = keep(position.state)
                if signal := largest(stop.signal or 0):
                    code, line = 128 + signal, NAMES.get(signal, "")
                    break
                if config.patience and _stands_still(record.rows, config.patience):
                    line = f"ended early: no better test accuracy in {config.patience} epochs"
                    break
            record.save(position)
        except DivergedError as error:
            if config.on_nonfinite == "save":
                record.save(position)
            code = 2
            line = (
                f"error: the loss is not finite at step {error.step}; try a smaller "
                f"--learning-rate than {config.learning_rate:g}, a longer --warmup, or --clip-norm"
            )
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            raise InputError(
                f"--batch-size {config.batch_size}: the device has not enough memory for it "
                f"({reason(error)}); give a smaller one"
            ) from error
        finally:
            if step in traced and leads():  # a run of fewer steps
                jax.profiler.stop_trace()
            record.close()
    return Ended(weights, code, line)


def _stands_still(rows: Sequence[dict[str, Any]], patience: int) -> bool:
    accuracies = [row["test_accuracy"] for row in rows]
    best = accuracies.index(max(accuracies, default=0)) if accuracies else 0
    return len(rows) - 1 - best >= patience


def _trace(out: Path, traced: range, step: int) -> None:
    if step == traced.start and traced:
        jax.profiler.start_trace(str(out / "profile"), create_perfetto_trace=True)
    elif step == traced.stop and traced:
        jax.profiler.stop_trace()
