"""`python -m jaxopt_notes.studies`: runs the notes' claims, one or all, and shows what became."""

import argparse
import textwrap
from collections.abc import Sequence
from pathlib import Path

from jaxopt_notes.command import OneLineParser, exit_code, run_as_process
from jaxopt_notes.errors import InputError, first_line
from jaxopt_notes.extras import require
from jaxopt_notes.places import Place
from jaxopt_notes.runtime import start, streams
from jaxopt_notes.runtime.host import set_jax, silence_matplotlib
from jaxopt_notes.studies import registration, study

ACTIONS = ("list", "run", "report", "pages", "register")
OUT, QUICK_OUT = Path("runs") / "studies", Path("runs") / "studies-quick"


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    parser = OneLineParser(
        prog="python -m jaxopt_notes.studies",
        description="Each claim of the notes is a study. list: name them. run NAME: run one. "
        "report: run all that have not run, and write the pages. pages: write the pages anew from "
        "the results. register: record every study's rule and setting, before it runs.",
        epilog="A verdict, whatever it is, is no error: the exit code is 0, or 2 for a mistake.",
    )
    add = parser.add_argument
    add("action", metavar="|".join(ACTIONS))
    add("name", nargs="?", metavar="NAME", help="of the study to run")
    add("--quick", action="store_true", help="smaller settings: each study takes up to a minute")
    add("--out", action=Place, metavar="DIR", help=f"({OUT}; {QUICK_OUT} with --quick)")
    return parser


def validate(args: argparse.Namespace) -> None:
    """Raises InputError for what no run could use, before JAX is imported; makes --out."""
    if args.action not in ACTIONS:
        raise InputError(f"action {args.action!r}: choose from {', '.join(ACTIONS)}")
    if args.action == "run":
        if not args.name:
            raise InputError("run: pass the NAME of a study; `list` lists them")
        study.check_name(args.name)
    elif args.name:
        raise InputError(f"{args.action} takes no name, such as {args.name!r}")
    if args.action in ("run", "report", "pages"):
        for extra in ("train", "plots") if args.action != "pages" else ():
            require(f"studies {args.action}", extra)
        args.out = Path(args.out or (QUICK_OUT if args.quick else OUT))
        try:
            args.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"--out {args.out} cannot be a folder: {first_line(error)}") from None


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code: 0, or 2 for a mistake, 130 after Ctrl-C."""

    def command() -> int:
        args = build_parser().parse_args(argv)
        validate(args)
        actions = {"list": _list, "pages": _pages, "register": _register}
        actions.get(args.action, _run)(args)
        return 0

    return exit_code(command, "stopped: the studies that had ended are kept")


def _list(args: argparse.Namespace) -> None:
    for name in study.names():
        about = study.about(name)
        print(f"{about.number:2}  {name}")
        print(textwrap.fill(about.claim, 88, initial_indent=" " * 4, subsequent_indent=" " * 4))


def _register(_: argparse.Namespace) -> None:
    print(f"wrote {registration.register()}")


def _pages(args: argparse.Namespace) -> None:
    from jaxopt_notes.studies import files, gallery

    results = [files.result(args.out / name) for name in study.names()]
    for path in gallery.write(args.out, results):
        print(f"wrote {path}")


def _run(args: argparse.Namespace) -> None:
    streams.outlive_readers()
    silence_matplotlib()
    start.import_jax()
    start.devices()
    if args.quick:  # most of a small study's time is compilation
        set_jax("jax_disable_most_optimizations", True)
    from tqdm import tqdm

    from jaxopt_notes.studies import runner

    names = study.names() if args.action == "report" else (args.name,)
    results = []
    with tqdm(names, unit="study", disable=None, leave=False) as bar:
        for name in bar:
            bar.set_description(name)
            result = runner.run(name, args.out, args.quick)
            results.append(result)
            verdict = result["verdict"]
            tqdm.write(f"{name}: {verdict['word']}. {verdict['reason']}")
    if args.action == "report":
        from jaxopt_notes.studies import gallery

        written = gallery.write(args.out, results)
    else:
        written = [args.out / args.name / "result.json"]
    for path in written:
        print(f"wrote {path}")


if __name__ == "__main__":
    run_as_process(main)
