"""Writes the files of a run that grow: rows of metrics, checkpoints and TensorBoard's events.

If a file cannot be written, for example on a full disk, the recorder reports it and tries again
later; the training goes on.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxopt_notes import files
from jaxopt_notes.errors import first_line
from jaxopt_notes.extras import require
from jaxopt_notes.runs.info import RunInfo
from jaxopt_notes.runtime import memory
from jaxopt_notes.runtime.processes import largest, leads
from jaxopt_notes.training.progress import EpochRow, Progress

if TYPE_CHECKING:
    import orbax.checkpoint as ocp

SHORT = 3.0  # seconds: an epoch that ends sooner after a checkpoint needs none of its own


class Recorder:
    """Writes a run's folder. Where several processes train, the first one writes everything but the
    other processes' parts of the checkpoints.

    Attributes:
      folder: the run's folder.
      failed: the files that could not be written at the last try, with the reason.
    """

    def __init__(
        self, folder: Path, info: RunInfo, progress: Progress, warn: Callable[[str], None] = print
    ) -> None:
        """Opens the folder.

        Args:
          folder: the run's folder, which this process has locked.
          info: the run's description; each checkpoint holds it.
          progress: where the training begins.
          warn: called with one line when a file cannot be written.

        Raises:
          MissingExtraError: the run asks for TensorBoard's events, and tensorboardX is not
            installed.
        """
        config = info.config
        self.failed: dict[str, str] = {}
        self.folder, self._info, self._warn = folder, info, warn
        self._leads = leads()
        self._board = _tensorboard(folder) if config.tensorboard and self._leads else None
        self._checkpoints: ocp.CheckpointManager | None = None  # opened at the first save
        self._saved_step, self._saved_time = -1, time.monotonic()
        if progress.rows:
            self._write_rows(progress)

    def _open(self) -> None:
        from jaxopt_notes.runs import checkpoint

        self._checkpoints = checkpoint.open_checkpoints(self.folder, self._info.config.keep)

    def add(self, progress: Progress, row: EpochRow | None) -> None:
        """Records the end of a stretch: its row if it has one, and a checkpoint if one is due.

        A checkpoint is due at the end of an epoch. Where epochs are short, it is due only if the
        epoch is the best so far or the last checkpoint is some seconds old, because each checkpoint
        costs a core up to 0.15 s.
        """
        due = self._is_due(progress.step)
        if row is not None:
            earlier = (other["test_accuracy"] for other in progress.rows[:-1])
            best = row["test_accuracy"] > max(earlier, default=-1.0)
            due = due or best or self._is_old(SHORT)
            self._write_rows(progress)
            self._write_events(row)
        if due:
            self.save(progress)

    def _is_due(self, step: int) -> bool:
        every = self._info.config.checkpoint_every
        if every.seconds is not None:
            return self._is_old(every.seconds)
        return every.steps is not None and step % every.steps == 0

    def _is_old(self, seconds: float) -> bool:
        return bool(largest(time.monotonic() - self._saved_time >= seconds))

    def save(self, progress: Progress) -> None:
        """Writes a checkpoint in the background, unless this step already has one."""
        step = progress.step
        if self._info.config.checkpoint_every.never or step == self._saved_step:
            return
        self._saved_step, self._saved_time = step, time.monotonic()
        if not self._attempt("a checkpoint", lambda: self._save(progress)):
            self._saved_step = -1
            self._attempt("the checkpoints", self._open)
        memory.give_back()

    def _save(self, progress: Progress) -> None:
        # Imported here, so that the first step does not wait for orbax's import.
        from jaxopt_notes.runs import checkpoint

        if self._checkpoints is None:
            self._open()
        checkpoint.save(self._checkpoints, progress, self._info)

    def close(self) -> None:
        """Waits until all files are on disk."""
        if self._checkpoints is not None:
            self._attempt("the last checkpoint", self._checkpoints.wait_until_finished)
            self._attempt("the checkpoints", self._checkpoints.close)
        if self._board is not None:
            self._attempt("TensorBoard's events", self._board.close)

    def _write_rows(self, progress: Progress) -> None:
        if self._leads:
            path = self.folder / "metrics.jsonl"
            self._attempt(path.name, lambda: files.write_rows(path, progress.rows))

    def _write_events(self, row: EpochRow) -> None:
        if self._board is not None:
            watched = {f"watch/{name}": value for name, value in row.get("watch", {}).items()}
            for name, value in {**row, **watched}.items():
                if isinstance(value, float):
                    self._board.add_scalar(name, value, row["step"])
            self._attempt("TensorBoard's events", self._board.flush)

    def _attempt(self, what: str, write: Callable[[], Any]) -> bool:
        try:
            write()
        # orbax re-raises any error of its background threads.
        except Exception as error:
            reason = first_line(error)
            if what not in self.failed:
                self._warn(
                    f"{self.folder}: {what} could not be written ({reason}); training continues"
                )
            self.failed[what] = reason
            return False
        self.failed.pop(what, None)
        return True


def _tensorboard(folder: Path) -> Any:
    require("--tensorboard", "tensorboard")
    from tensorboardX import SummaryWriter

    return SummaryWriter(str(folder / "tensorboard"))
