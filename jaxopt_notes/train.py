"""`python -m jaxopt_notes.train`: trains the notes' CNN and shows its progress."""

import argparse
import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from jaxopt_notes.command import exit_code, run_as_process
from jaxopt_notes.config.kinds import PLACE
from jaxopt_notes.config.options import asked_in, build_parser
from jaxopt_notes.config.settings import ROWS, Asked, validate
from jaxopt_notes.errors import InputError, first_line
from jaxopt_notes.extras import require
from jaxopt_notes.runtime import processes, start, streams
from jaxopt_notes.runtime.host import silence_matplotlib

# Modules that `--help` does not need are imported where they are used.
if TYPE_CHECKING:
    from pathlib import Path

    from jaxopt_notes.runs.info import RunInfo
    from jaxopt_notes.runs.resume import Resumed
    from jaxopt_notes.runs.session import Begun, Show
    from jaxopt_notes.training.progress import EpochRow, Progress
    from jaxopt_notes.training.setup import Setup


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code.

    0; 1 if a file of the run could not be written; 2 for invalid input or a loss that is not
    finite; 130 after Ctrl-C, 143 after SIGTERM and 129 after a hang-up. A signal leaves the run
    saved up to the current step.
    """
    return exit_code(lambda: _run(sys.argv[1:] if argv is None else argv))


def _run(argv: Sequence[str]) -> int:
    args = build_parser().parse_args(argv)
    asked: Asked = asked_in(args)
    resumed = None
    if args.resume:
        from jaxopt_notes.runs import resume

        resumed = resume.go_on(args.resume, asked, args.override)
        asked = resumed.asked
    elif args.override:
        raise InputError("--override: only with --resume DIR; leave it out")
    else:
        validate(asked)  # before anything slow is imported
        if "out" in asked:
            from jaxopt_notes.runs import folder

            folder.refuse_used(asked["out"])
    require("train", "train", "flax", "orbax.checkpoint", "tqdm")
    start.import_jax()
    if args.summary:
        return _summarize(asked, as_json=args.json)
    return _together(argv, args, lambda: _train(asked, args, resumed))


def _together(argv: Sequence[str], args: argparse.Namespace, train: Callable[[], int]) -> int:
    """Trains in this process alone, or as one of several processes."""
    from jaxopt_notes.runtime import memory

    memory.share_heaps()  # before JAX starts threads
    members = processes.processes_from(
        args.coordinator, args.processes, args.process_id, args.distributed
    )
    if members is None:
        return train()
    if not processes.is_supervised():
        return processes.supervise("jaxopt_notes.train", argv)
    return processes.train_joined(members, train)


def _summarize(asked: Asked, as_json: bool) -> int:
    from jaxopt_notes.models import summarize, summary_text
    from jaxopt_notes.training.setup import prepare

    rows = summarize(prepare(asked).network)
    print(json.dumps([row._asdict() for row in rows]) if as_json else summary_text(rows))
    return 0


def _train(asked: Asked, args: argparse.Namespace, resumed: "Resumed | None") -> int:
    """Trains from the first step, or from where the resumed run stopped."""
    from jaxopt_notes.runs import folder, orbax_log, report, session
    from jaxopt_notes.training.setup import prepare

    streams.outlive_readers()
    orbax_log.silence_orbax()
    silence_matplotlib()
    setup = prepare(asked)
    described = report.describe(setup)
    if resumed is not None:
        session.refuse_other_data(resumed.info, described, args.override)
    processes.refuse_unequal(_shared(described))
    out = _folder(asked.get("out"), setup, resumed=resumed is not None)
    args.quiet |= not processes.leads()
    epochs = described.config.epochs
    with folder.locked(out) if processes.leads() else contextlib.nullcontext():
        if resumed is None and processes.leads():
            folder.refuse_used(str(out))  # another process may have made one meanwhile
        begun = session.begin(setup, described, out, resumed)
        progress = begun.progress
        if progress.epoch >= epochs:
            line = f"{out}: this run has finished its {epochs} epochs; "
            line += "pass a larger --epochs to train on"
            summary = progress.rows[-1] if progress.rows else None  # else another program's epochs
            _print(args, line, {"summary": summary, "out": str(out)})
            return 0
        return _train_in(out, setup, described, begun, args)


def _train_in(
    out: "Path",
    setup: "Setup",
    described: "RunInfo",
    begun: "Begun",
    args: argparse.Namespace,
) -> int:
    """Trains in a folder that this process has locked; returns the exit code."""
    from jaxopt_notes.runs import folder, info, report, session
    from jaxopt_notes.runs.recorder import Recorder

    recorder = Recorder(out, described, begun.progress, _warn)
    as_json = info.to_json(described)
    if processes.leads():
        folder.write_config(out, as_json)
    _print(args, report.header(described, begun.notes), {"header": as_json, "notes": begun.notes})
    with _progress_bar(described, args) as show:
        outcome = session.train(setup, begun, recorder, show)
    if processes.leads():
        try:
            summary = report.finish(out, setup, outcome.rows, outcome.weights)
            _print(args, summary.text, summary.value)
        except OSError as error:  # the folder is gone, or the disk is full
            recorder.failed["scores and pictures"] = first_line(error)
        if outcome.message:
            _warn(outcome.message)
    for what, reason in recorder.failed.items():
        _warn(
            f"error: {out}: {what} could not be written ({reason}); "
            "check that the folder exists and its disk has room"
        )
    return outcome.exit_code or int(bool(recorder.failed))


def _print(args: argparse.Namespace, text: str, value: Any) -> None:
    """Prints the text, with --json the value, with --quiet nothing."""
    from tqdm import tqdm

    if not args.quiet:
        tqdm.write(json.dumps(value) if args.json else text)


def _warn(text: str) -> None:
    from tqdm import tqdm

    tqdm.write(text, file=sys.stderr)


@contextlib.contextmanager
def _progress_bar(described: "RunInfo", args: argparse.Namespace) -> Iterator["Show"]:
    """Shows a progress bar over the run's steps, and a line for each epoch."""
    from tqdm import tqdm

    from jaxopt_notes.runs import report

    steps = described.steps_per_epoch
    quiet = args.quiet or args.json
    total = steps * described.config.epochs
    with tqdm(total=total, unit="step", disable=quiet or None, leave=False) as bar:

        def show(progress: "Progress", row: "EpochRow | None") -> None:
            loss = progress.result.loss if row is None else row["train_loss"]
            bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
            bar.update(progress.epoch * steps + progress.step_in_epoch - bar.n)
            if row is None:
                return
            if args.json or report.is_shown(progress.rows, described.config.epochs):
                _print(args, report.row_text(row), row)
            if hint := report.learning_rate_hint(described, progress.rows):
                _print(args, hint, {"note": hint})

        yield show


def _shared(described: "RunInfo") -> dict[str, Any]:
    """The settings and data that all processes must share; their folders may differ."""
    from jaxopt_notes.runs import info

    places = {name: None for name, row in ROWS.items() if row.kind.noun == PLACE}
    value = info.to_json(described)
    return {"config": value["config"] | places, "data": value["data"]}


def _folder(asked: str | None, setup: "Setup", resumed: bool) -> "Path":
    """The run's folder, under the user's name for it; process 0 makes it."""
    from pathlib import Path

    from jaxopt_notes.runs import folder

    config, path = setup.config, ""
    if processes.leads():
        if not resumed:
            folder.refuse_inside(asked or folder.DEFAULT, config.dataset)
        if asked is None:
            path = str(folder.create_default(setup.data.name, config.optimizer))
        else:
            path = str(folder.create(asked, resumed))
    return Path(processes.from_first(path))


if __name__ == "__main__":
    run_as_process(main)
