"""What a run leaves behind while it goes on: rows, checkpoints and TensorBoard's events.

What cannot be written, on a full disk for one, is told and tried again at the next occasion; the
training goes on.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jaxopt_notes.config.settings import Settings
from jaxopt_notes.extras import require
from jaxopt_notes.runs import checkpoint, folder
from jaxopt_notes.runtime import memory
from jaxopt_notes.runtime.processes import largest, leads
from jaxopt_notes.training.run import Moment, Position

SCORE = "test_accuracy"  # the best checkpoint's
SHORT = 3.0  # seconds: epochs that end sooner after a checkpoint need not have their own


class Record:
    """The growing files of a run's folder. Of several processes the first writes all but its part
    of the checkpoints.

    Attributes:
      out: the folder.
      rows: the finished epochs', all of which `metrics.jsonl` holds.
      failed: what was not written at the last try, with the reason.
    """

    def __init__(
        self,
        out: Path,
        config: Settings,
        facts: dict[str, Any],
        rows: Sequence[dict[str, Any]] = (),
        say: Callable[[str], None] = print,
    ) -> None:
        """Opens the folder.

        Args:
          out: the run's folder, which this process holds.
          config: the run's settings.
          facts: what each checkpoint tells beside the run's position.
          rows: those of the epochs before.
          say: is told of what could not be written.

        Raises:
          MissingExtraError: TensorBoard's files are asked for, and tensorboardX is not installed.
        """
        self.rows = list(rows)
        self.failed: dict[str, str] = {}
        self.out, self._config, self._facts, self._say = out, config, facts, say
        self._leads = leads()
        self._board = _tensorboard(out) if config.tensorboard and self._leads else None
        self._open()
        self._saved_step, self._saved_time = -1, time.monotonic()
        if rows:
            self._write_rows()

    def _open(self) -> None:
        keep, never = self._config.keep, self._config.checkpoint_every.never
        self.checkpoints = None if never else checkpoint.open_checkpoints(self.out, keep)

    def add(self, moment: Moment) -> None:
        """Takes note of a stretch's end: its row if it has one, and a checkpoint if one is due.

        One is due at an epoch's end; but where epochs are short, only if it is the best so far or
        the last checkpoint is some seconds old: each costs up to 0.15 s of a core.
        """
        due = self._is_due(int(moment.position.state.step))
        if moment.row is not None:
            best = all(moment.row[SCORE] > row[SCORE] for row in self.rows)
            due = due or best or self._is_old(SHORT)
            self.rows.append(moment.row)
            self._write_rows()
            self._write_events(moment.row)
        if due:
            self.save(moment.position)

    def _is_due(self, step: int) -> bool:
        every = self._config.checkpoint_every
        if every.seconds is not None:
            return self._is_old(every.seconds)
        return every.steps is not None and step % every.steps == 0

    def _is_old(self, seconds: float) -> bool:
        return bool(largest(time.monotonic() - self._saved_time >= seconds))

    def save(self, position: Position) -> None:
        """Writes a checkpoint in the background, unless this position has one."""
        step = int(position.state.step)
        if self.checkpoints is None or step == self._saved_step:
            return
        manager = self.checkpoints
        self._saved_step, self._saved_time = step, time.monotonic()
        written = self._attempt(
            "a checkpoint", lambda: checkpoint.save(manager, position, self.rows, self._facts)
        )
        if not written:
            self._saved_step = -1
            self._attempt("the checkpoints", self._open)
        memory.give_back()

    def close(self) -> None:
        """Waits until all is on disk."""
        if self.checkpoints is not None:
            self._attempt("the last checkpoint", self.checkpoints.wait_until_finished)
            self._attempt("the checkpoints", self.checkpoints.close)
        if self._board is not None:
            self._attempt("TensorBoard's events", self._board.close)

    def _write_rows(self) -> None:
        if not self._leads:
            return
        path = self.out / "metrics.jsonl"
        self._attempt(path.name, lambda: folder.write_rows(path, self.rows))

    def _write_events(self, row: dict[str, Any]) -> None:
        if self._board is not None:
            for name, value in row.items():
                if isinstance(value, float):
                    self._board.add_scalar(name, value, row["step"])
            self._attempt("TensorBoard's events", self._board.flush)

    def _attempt(self, what: str, write: Callable[[], Any]) -> bool:
        try:
            write()
        # orbax hands on whatever its background threads raised.
        except Exception as error:
            reason = folder.reason(error)
            if what not in self.failed:
                self._say(f"{self.out}: {what} could not be written ({reason}); going on")
            self.failed[what] = reason
            return False
        self.failed.pop(what, None)
        return True


def _tensorboard(out: Path) -> Any:
    require("--tensorboard", "tensorboard")
    from tensorboardX import SummaryWriter

    return SummaryWriter(str(out / "tensorboard"))
