"""`python -m jaxopt_notes.train`: trains the notes' CNN and shows how it goes."""

import argparse
import contextlib
import datetime
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from jaxopt_notes.command import exit_code, run_as_process
from jaxopt_notes.config.kinds import PLACE
from jaxopt_notes.config.options import asked_in, build_parser
from jaxopt_notes.config.settings import ROWS, Asked, validate
from jaxopt_notes.errors import InputError
from jaxopt_notes.extras import require
from jaxopt_notes.runs import folder, resume
from jaxopt_notes.runtime import processes


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code.

    0; 1 where something of the run could not be written; 2 for a mistake, or a loss that is not
    finite; 130 after Ctrl-C and 143 after SIGTERM, with the run kept up to there.
    """
    return exit_code(lambda: _run(sys.argv[1:] if argv is None else argv))


def _run(argv: Sequence[str]) -> int:
    args = build_parser().parse_args(argv)
    asked: Asked = asked_in(args)
    resumed = None
    if args.resume:
        resumed = resume.go_on(args.resume, asked, args.override)
        asked = resumed.asked
    elif args.override:
        raise InputError("--override: only with --resume DIR; leave it out")
    else:
        validate(asked)  # before anything slow is imported
        if "out" in asked:
            folder.refuse_used(asked["out"])
    require("train", "train")
    if args.summary:
        return _summarize(asked, as_json=args.json)
    return _together(argv, args, lambda: _train(asked, args, resumed))


def _together(argv: Sequence[str], args: argparse.Namespace, train: Callable[[], int]) -> int:
    """Trains in this process, or as one of several."""
    from jaxopt_notes.runtime import memory

    memory.share_heaps()  # JAX is about to start threads
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
    from jaxopt_notes.training import run

    network = run.prepare(asked).network
    rows = summarize(network)
    print(json.dumps([row._asdict() for row in rows]) if as_json else summary_text(rows))
    return 0


def _train(asked: Asked, args: argparse.Namespace, resumed: resume.Resumed | None) -> int:
    """Trains from the first step on, or from where the resumed run was left."""
    from jaxopt_notes.runs import checkpoint, recorder, report, session
    from jaxopt_notes.training import run

    checkpoint.silence_orbax()
    ready = run.prepare(asked)
    say = _speaker(args)
    config = ready.config
    described = report.describe(ready)
    if resumed is not None:
        session.refuse_other_data(resumed.described, described, args.override)
    processes.refuse_unequal(_common(described))
    out = _folder(ready, resumed=resumed is not None)
    with folder.held(out) if processes.leads() else contextlib.nullcontext():
        begun = session.start(ready, out, resumed)
        if begun.position.epoch >= config.epochs:
            text = f"{out}: all of its {config.epochs} epochs are done; give more --epochs"
            say(text, {"summary": begun.rows[-1], "out": str(out)})
            return 0
        kept = recorder.Record(out, config, described, begun.rows, _complain)
        if processes.leads():
            folder.write_json(out / "config.json", described)
        say(report.header(described, begun.lines), {"header": described, "notes": begun.lines})
        with _progress(ready, args, say) as show:
            ended = session.go(ready, begun, kept, show)
        if processes.leads():
            try:
                summary = report.finish(out, ready, kept.rows, ended.weights)
                say(summary.text, summary.value)
            except OSError as error:  # the folder is gone, or the disk is full
                kept.failed["scores and pictures"] = folder.reason(error)
    if ended.line and processes.leads():
        _complain(ended.line)
    for what, reason in kept.failed.items():
        _complain(f"error: {out}: {what} could not be written ({reason}); make room or check it")
    return ended.code or int(bool(kept.failed))


def _speaker(args: argparse.Namespace) -> Callable[[str, dict[str, Any]], None]:
    from tqdm import tqdm

    args.quiet |= not processes.leads()

    def say(text: str, value: dict[str, Any]) -> None:
        if not args.quiet:
            tqdm.write(json.dumps(value) if args.json else text)

    return say


def _complain(text: str) -> None:
    from tqdm import tqdm

    tqdm.write(text, file=sys.stderr)


@contextlib.contextmanager
def _progress(
    ready: Any, args: argparse.Namespace, say: Callable[[str, dict[str, Any]], None]
) -> Iterator[Callable[[Any], None]]:
    """A bar over the run's steps, and a line an epoch."""
    from tqdm import tqdm

    from jaxopt_notes.runs import report

    total = ready.steps_per_epoch * ready.config.epochs
    quiet = args.quiet or args.json
    with tqdm(total=total, unit="step", disable=quiet or None, leave=False) as bar:

        def show(moment: Any) -> None:
            where = moment.position
            bar.set_postfix(loss=f"{moment.result.loss:.4f}", refresh=False)
            bar.update(where.epoch * ready.steps_per_epoch + where.in_epoch - bar.n)
            if moment.row is not None:
                say(report.row_text(moment.row), moment.row)

        yield show


def _common(described: dict[str, Any]) -> dict[str, Any]:
    """What all processes of a run must have alike: not the places where each keeps its files."""
    places = {name: None for name, row in ROWS.items() if row.kind.noun == PLACE}
    return {"config": described["config"] | places, "data": described["data"]}


def _folder(ready: Any, resumed: bool) -> Path:
    name = ready.config.out or _default_folder(ready.data.name, ready.config.optimizer)
    if processes.leads():
        folder.create(name, resumed)
    return Path(processes.from_first(name))


def _default_folder(dataset: str, optimizer: str) -> str:
    now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    return str(Path("runs") / f"{dataset.replace('/', '-')}-{optimizer}-{now}")


if __name__ == "__main__":
    run_as_process(main)
