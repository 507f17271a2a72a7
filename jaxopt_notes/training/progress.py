"""Where a training stands, and the metrics of its epochs."""

from typing import Any, NamedTuple, NotRequired, TypedDict

import jax
import numpy as np

from jaxopt_notes.training.state import TrainState


class Sums(NamedTuple):
    """Sums over the steps of an epoch; a step with a non-finite loss is only counted as failed."""

    loss: jax.Array  # float32, nats
    correct: jax.Array  # int32
    examples: jax.Array  # int32
    failed: jax.Array  # int32, steps


def zero_sums() -> Sums:
    """The sums before any step."""
    loss: Any = np.float32(0)  # numpy's, so that any layout takes it
    count: Any = np.int32(0)
    return Sums(loss, count, count, count)


class Result(NamedTuple):
    """Means over examples; NaN where there are no examples."""

    loss: float
    accuracy: float
    examples: int


def result_of(loss: Any, correct: Any, examples: Any) -> Result:
    """The means of sums over examples.

    >>> result_of(3.0, 1, 2)
    Result(loss=1.5, accuracy=0.5, examples=2)
    """
    loss, correct, examples = float(loss), int(correct), int(examples)
    if not examples:
        return Result(float("nan"), float("nan"), 0)
    return Result(loss / examples, correct / examples, examples)


class EpochRow(TypedDict):
    """The metrics of one epoch, as `metrics.jsonl` holds them: one JSON object per line.

    Keys:
      epoch: counted from 1.
      step: steps since the training began.
      seconds: training time since it began.
      train_loss: mean over the epoch's steps, in nats.
      ema_test_loss: on the test set with the averaged parameters; with `--ema` only.
      skipped: steps left out because their loss was not finite; with `--on-nonfinite skip` only.
      switched_at: steps before the switch to SGD, None before it; with adam-to-sgd only.
      sgd_rate: SGD's learning rate at the switch, None before it; with adam-to-sgd only.
      watch: the readings at the last measured step, by name; a reading that is not finite is None;
        with `--watch` only.
    """

    epoch: int
    step: int
    seconds: float
    train_loss: float
    train_accuracy: float
    test_loss: float
    test_accuracy: float
    ema_test_loss: NotRequired[float]
    ema_test_accuracy: NotRequired[float]
    skipped: NotRequired[int]
    switched_at: NotRequired[int | None]
    sgd_rate: NotRequired[float | None]
    watch: NotRequired[dict[str, float | None]]


class Progress(NamedTuple):
    """Where a training stands: all it needs to go on as if it had never stopped.

    Attributes:
      state: the training state; the next stretch of steps reuses its memory.
      sums: metrics of the current epoch so far.
      step_in_epoch: how many steps of the current epoch are done.
      rows: one row for each epoch that this package has finished.
      seconds: training time so far.
      epochs_before: epochs without a row, which another program had finished.
    """

    state: TrainState
    sums: Sums = zero_sums()
    step_in_epoch: int = 0
    rows: tuple[EpochRow, ...] = ()
    seconds: float = 0.0
    epochs_before: int = 0

    @property
    def epoch(self) -> int:
        """The number of finished epochs."""
        return self.epochs_before + len(self.rows)

    @property
    def step(self) -> int:
        """The number of steps since the training began; waits for the device."""
        return int(self.state.step)

    @property
    def result(self) -> Result:
        """The means of the current epoch so far."""
        return result_of(*self.sums[:3])
