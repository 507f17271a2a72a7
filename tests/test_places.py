"""Paths as people type them, in every command: `~` is expanded, other machines are refused."""

import os
import re
from pathlib import Path

import pytest

from benchmarks.command import benchmark_parser
from jaxopt_notes import (
    compare,
    convert,
    data,
    diagnose,
    explain,
    export,
    places,
    predict,
    train,
    verify,
)
from jaxopt_notes.config import settings
from jaxopt_notes.config.options import asked_in, build_parser
from jaxopt_notes.errors import InputError
from jaxopt_notes.studies import __main__ as studies
from jaxopt_notes.training import setup

URLS = ["gs://bucket/x", "s3://bucket/x", "hdfs://host/x", "https://host/x.png", "file:///tmp/x"]
COMMANDS = {
    "train --out": (train.main, ["--out"], []),
    "train --data-dir": (train.main, ["--data-dir"], []),
    "train --dataset": (train.main, ["--dataset"], []),
    "train --compilation-cache": (train.main, ["--compilation-cache"], []),
    "train --resume": (train.main, ["--resume"], []),
    "predict --run": (predict.main, ["--run"], ["x.png"]),
    "predict FILE": (predict.main, [], ["--run", "here"]),
    "predict --dataset": (predict.main, ["--dataset"], ["--run", "here", "--split", "test"]),
    "predict --data-dir": (predict.main, ["--data-dir"], ["--run", "here", "--split", "test"]),
    "export --run": (export.main, ["--run"], ["--out", "f"]),
    "export --out": (export.main, ["--out"], ["--run", "here"]),
    "convert SOURCE": (convert.main, [], ["--out", "f"]),
    "convert --out": (convert.main, ["--out"], ["here"]),
    "convert --names": (convert.main, ["--names"], ["here", "--out", "f"]),
    "compare RUN": (compare.main, [], []),
    "compare --out": (compare.main, ["--out"], ["here"]),
    "verify --out": (verify.main, ["--out"], ["--quick"]),
    "explain --table": (explain.main, ["--table"], []),
    "diagnose --out": (diagnose.main, ["--out"], []),
    "studies --out": (studies.main, ["--out"], ["report", "--quick"]),
}


@pytest.mark.parametrize("place", COMMANDS)
def test_a_url_is_refused_in_one_line_before_anything_is_done(place, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    main, option, more = COMMANDS[place]
    name = place.split()[1]
    for url in URLS:
        assert main([*option, url, *more]) == 2
        line = capsys.readouterr().err
        remedy = "pass the path alone" if url.startswith("file") else "mount it"
        assert re.fullmatch(rf"error: {name} {re.escape(url)}: .*; {remedy}.*\n", line)
    assert not list(tmp_path.iterdir())


def paths_of(*argv):
    """The values of the commands' path options."""
    parsed = {
        "train": asked_in(build_parser().parse_args(argv[0])),
        "resume": build_parser().parse_args(["--resume", argv[1]]).resume,
        "predict": vars(predict.build_parser().parse_args(["--run", argv[1], argv[1], argv[1]])),
        "export": vars(export.build_parser().parse_args(["--run", argv[1], "--out", argv[1]])),
        "compare": vars(compare.build_parser().parse_args([argv[1], "--out", argv[1]])),
        "verify": vars(verify.build_parser().parse_args(["--out", argv[1]])),
        "explain": vars(explain.build_parser().parse_args(["--table", argv[1]])),
        "diagnose": vars(diagnose.build_parser().parse_args(["--out", argv[1]])),
        "studies": vars(studies.build_parser().parse_args(["list", "--out", argv[1]])),
        "benchmarks": vars(benchmark_parser("x", "").parse_args(["--out", argv[1]])),
    }
    names = ("run", "files", "runs", "out", "table")
    of_commands = [
        parsed[c][n]
        for c in parsed
        if c not in ("train", "resume")
        for n in names
        if n in parsed[c]
    ]
    return [*parsed["train"].values(), parsed["resume"], *of_commands]


@pytest.mark.parametrize("tilde", ["~/run", f"~{os.environ.get('USER') or 'root'}/run"])
def test_every_path_option_expands_the_home_folder(tilde):
    whole = os.path.expanduser(tilde)
    options = ("--out", "--data-dir", "--dataset", "--compilation-cache")
    paths = paths_of([f"{option}={tilde}" for option in options], tilde)
    assert paths
    assert all(each in (whole, [whole], [whole, whole]) for each in paths)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "'': is empty"),
        ("~nobody-of-that-name/run", "has no home folder here; pass the full path"),
        ("a\0b", "NUL"),
    ],
)
def test_what_is_no_path_is_refused(text, words, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for main, argv in ((train.main, []), (verify.main, []), (export.main, ["--run", "run"])):
        assert main([*argv, "--out", text]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: --out ")
        assert words in error
        assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_environment_variables_are_paths_too(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFDS_DATA_DIR", "~/sets")
    assert data.default_data_dir() == Path.home() / "sets"
    for variable in ("JAX_COMPILATION_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
        monkeypatch.setenv(variable, "~/c")
        chosen = settings.resolve({}, 1).compilation_cache
        assert chosen == str(Path.home() / ("c" if "JAX" in variable else "c/jaxopt_notes"))
        monkeypatch.setenv(variable, "gs://bucket/c")
        assert train.main([]) == 2
        line = rf"error: \${variable} gs://bucket/c: is not on this machine; mount it .*\n"
        assert re.fullmatch(line, capsys.readouterr().err)
        monkeypatch.delenv(variable)
    monkeypatch.setenv("TFDS_DATA_DIR", "gs://bucket/sets")
    for name in ("auto", "mnist", "cifar10"):
        with pytest.raises(InputError, match=r"^\$TFDS_DATA_DIR gs://bucket/sets: is not on this"):
            data.load(name)
    assert data.load("mnist-12k").name == "mnist-12k"  # which needs no folder
    with pytest.raises(InputError, match=r"^dataset s3://b: is not on this\b"):
        data.load("s3://b")
    with pytest.raises(InputError, match=r"^data_dir s3://b: is not on this\b"):
        data.load("mnist", "s3://b")
    assert not list(tmp_path.iterdir())


def test_an_error_is_one_line_whatever_a_name_holds(capsys):
    for name in ("a\nb", "a\udcffb", "a\x1b[31mb", "a\rb"):
        assert predict.main(["--run", name, "x.png"]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert error[:-1].isprintable()
        assert error.startswith("error: --run a\\")


def test_is_within_follows_links(tmp_path):
    (tmp_path / "set/cat").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "set")
    assert places.is_within(str(tmp_path / "link/run"), str(tmp_path / "set"))
    assert not places.is_within(str(tmp_path / "settle"), str(tmp_path / "set"))


def test_a_runs_config_has_whole_paths(monkeypatch, tmp_path, digits):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(setup, "load", lambda *_: digits)
    (tmp_path / "pets").mkdir()
    asked = {"dataset": "pets", "data_dir": "sets", "out": "run", "compilation_cache": "off"}
    config = setup.prepare(asked).config
    assert config.dataset == str(tmp_path / "pets")
    assert (config.data_dir, config.out) == (str(tmp_path / "sets"), str(tmp_path / "run"))
    assert config.compilation_cache == "off"
