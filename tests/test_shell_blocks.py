"""Each command that the pages show accepts its options, and the `sh` blocks run, made small."""

import importlib
import os
import re
import shlex
import socket
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from benchmarks import machine, time_to_accuracy
from jaxopt_notes import compare, train
from jaxopt_notes.config.settings import resolve
from jaxopt_notes.data import load
from jaxopt_notes.runs import resume
from jaxopt_notes.runtime import processes, start
from jaxopt_notes.studies import files, registration
from jaxopt_notes.training import setup
from tests.run_files import SMALL, TRAIN
from tests.virtual_devices import COMPILE_SOON

ROOT = Path(__file__).parents[1]
FILES = (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "benchmarks" / "README.md")
# Not the Chinese editions: tests/test_chinese.py compares their blocks with the English ones.
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in FILES
    if not path.name.endswith(".zh-CN.md")
}
FENCE = re.compile(r"^```(\S*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r'python -m ((?:jaxopt_notes|benchmarks)\b(?:[^`"&|>;#\n]|"[^"\n]*")*)')

# The commands of blocks that this file does not run, each with the test that does, or the reason.
CI = "tests/test_readme.py::test_ci_runs_the_two_commands"
OWN_STUDY = "tests/test_guides.py::test_the_page_on_adding_a_study_has_a_study_that_runs"
OWN_IMAGES = [
    "python -m jaxopt_notes.train --dataset ./shapes --model mlp --widths 32 --epochs 8 "
    "--batch-size 16 --out runs/shapes",
    "python -m jaxopt_notes.predict --run runs/shapes shapes/disc/000.png shapes/square/000.png",
    "python -m jaxopt_notes.export --run runs/shapes --out shapes.jax",
]
NOT_RUN = {
    'pip install ".[train]"': CI,
    'pip install ".[dev]"': CI,
    "python -m pytest": CI,
    "python -m jaxopt_notes.studies run first-step --quick": OWN_STUDY,
    **dict.fromkeys(OWN_IMAGES, "tests/test_guides.py::test_the_commands_on_your_own_images_run"),
    "python -m jaxopt_notes.studies register": "writes into the package",
    'git commit -am "The rule of the study of Adam\'s first step"': "changes a repository",
    "python -m jaxopt_notes.studies report --out docs/studies": "runs every study, for hours",
    'pip install "jaxopt-notes[train,cuda12]"': "needs a network",
    "python -m jaxopt_notes.aot --target cuda:h100 --batch-size 128 --hlo programs": (
        "needs the extra cuda12"
    ),
    "srun --nodes=2 --ntasks-per-node=8 --gpus-per-task=1 python -m jaxopt_notes.train "
    "--out runs/slurm --distributed": "needs Slurm",
    'gcloud compute tpus tpu-vm ssh NAME --worker=all --command="python -m jaxopt_notes.train '
    '--out /shared/pod --distributed"': "needs a TPU pod",
    "python -c \"from jaxopt_notes.data import load; load('mnist', 'DATA')\"": "needs a network",
    "tar czf mnist.tgz -C DATA mnist": "packs what the line above downloads",
    "mkdir DATA": "is for another machine",
    "tar xzf mnist.tgz -C DATA": "is for another machine",
    "TFDS_DATA_DIR=$PWD/DATA python -m benchmarks.accelerator --out RESULTS": "needs a GPU",
}
PLACEHOLDERS = {
    "jaxopt_notes.studies run first-step --quick": "the study of the page",
    "jaxopt_notes.verify --optimizer name": "your optimizer",
    "jaxopt_notes.verify --mutate --optimizer name": "your optimizer",
    "benchmarks.NAME": "any benchmark",
    "benchmarks.time_to_accuracy --validate --try …": "any change of the recipe",
}


def commands() -> set[str]:
    """This project's commands that a page names: in a block, a table or a sentence."""
    return {m[1].strip() for text in PAGES.values() for m in COMMAND.finditer(text)}


def lines(page: str) -> list[str]:
    """The commands of a page's `sh` blocks, in order."""
    blocks = [code for language, code in FENCE.findall(PAGES[page]) if language == "sh"]
    whole = "".join(blocks).replace("\\\n", " ")
    bare = re.sub(r"(^|\s+)#.*", "", whole, flags=re.MULTILINE)
    return [line.strip() for line in re.split(r"\n| && ", bare) if line.strip()]


def is_package(module: str) -> bool:
    spec = find_spec(module)
    assert spec is not None, module
    return spec.submodule_search_locations is not None


def run(module, arguments):
    """Runs a command in this process; returns its exit code."""
    home = f"{module}.__main__" if is_package(module) else module
    return importlib.import_module(home).main(arguments)


class AcceptedError(Exception):
    """A command has checked its options and would start its work."""


@pytest.fixture(name="work_is_left_out")
def _work_is_left_out(monkeypatch, tmp_path):
    """Each command raises AcceptedError where its work starts; `train` completes its settings."""

    def accepted(*_, **__):
        raise AcceptedError

    def completed(asked, *_, **__):
        resolve(asked, examples=60_000)
        raise AcceptedError

    for home, name in (
        (start, "import_jax"),
        (start, "frameworks"),
        (machine, "facts"),
        (time_to_accuracy, "load"),
        (compare, "compare"),
        (resume, "go_on"),
        (files, "result"),
        (registration, "register"),
    ):
        monkeypatch.setattr(home, name, accepted)
    monkeypatch.setattr(train, "start", SimpleNamespace(import_jax=lambda: None))
    monkeypatch.setattr(train, "_train", completed)
    monkeypatch.setattr(train, "_summarize", completed)
    monkeypatch.setattr(processes, "is_supervised", lambda: True)
    monkeypatch.setattr(processes, "train_joined", lambda _, work: work())
    monkeypatch.chdir(tmp_path)
    Path("checkpoint.pt").touch()
    Path("runs/from-torch").mkdir(parents=True)


@pytest.mark.parametrize("command", sorted(commands() - set(PLACEHOLDERS)))
def test_a_command_accepts_its_options(command, work_is_left_out, capsys):
    module, *arguments = shlex.split(command)
    if not arguments:
        assert find_spec(module), "no such command"
        return
    try:
        code = run(module, arguments)
    except AcceptedError:
        return
    except SystemExit as end:  # --help
        code = end.code
    errors = capsys.readouterr().err
    if "which is not installed" in errors:
        pytest.skip(errors)
    assert code == 0, errors


def test_each_command_of_a_block_runs_or_is_listed_with_the_reason():
    shown = {line for page in PAGES for line in lines(page)}
    assert shown - set(NOT_RUN) == {line for page in RUN for line in lines(page)} - set(NOT_RUN)
    assert set(NOT_RUN) <= shown
    assert set(PLACEHOLDERS) <= commands()
    for reason in NOT_RUN.values():
        file, _, name = reason.partition("::")
        assert not name or f"\ndef {name}(" in (ROOT / file).read_text(encoding="utf-8"), name


def test_each_block_has_a_language_that_a_test_runs():
    languages = {language for text in PAGES.values() for language, _ in FENCE.findall(text)}
    assert languages == {"python", "py", "text", "sh", "{eval-rst}"}


def test_each_extra_to_install_exists():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    extras = tomllib.loads(text)["project"]["optional-dependencies"]
    named = re.findall(r"pip install \S*\[([\w,]+)\]", "\n".join(PAGES.values()))
    assert len(named) > 5
    assert {extra for names in named for extra in names.split(",")} <= set(extras)


def test_each_file_to_run_exists():
    words = re.findall(r"python (?:-m pytest )?[^`\n#]*", "\n".join(PAGES.values()))
    paths = {word for text in words for word in re.findall(r"(?:docs|tests|scripts)/[\w/.]+", text)}
    assert len(paths) > 5
    assert all((ROOT / path).exists() for path in paths)


# What a page's commands find in the reader's folder.
def nothing(_):
    pass


def a_photo(digits):
    pytest.importorskip("matplotlib", reason="needs the extra plots")
    Image.fromarray(255 - digits.test_images[0, ..., 0]).resize((60, 80)).save("photo.png")


def a_folder_of_pictures(digits):
    for k, (image, label) in enumerate(zip(digits.test_images, digits.test_labels)):
        folder = Path("path/to/folder", str(label))
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0]).resize((20, 24)).save(folder / f"{k}.png")


def a_torch_checkpoint(digits):
    pytest.importorskip("torch", reason="needs the extra torch")
    from tests.exchange.checkpoints import Script

    Script(digits).with_optimizer("AdamW", lr=1e-3).train(2).save("checkpoint.pt")


RUN = {
    "docs/training.md": a_folder_of_pictures,
    "docs/long-runs.md": a_photo,
    "docs/many-devices.md": nothing,
    "docs/microscope.md": nothing,
    "docs/there-and-back.md": a_torch_checkpoint,
}
# Exit codes other than 0.
ENDS = {
    "python -m jaxopt_notes.diagnose optax.rmsprop learning_rate=0.01 -- torch.optim.RMSprop "
    "lr=0.01": 1,
}


ENVIRONMENT = {
    "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": COMPILE_SOON,
    "PJRT_NPROC": "32",  # threads to spare: tests/virtual_devices.py
}


def made_small(module, arguments):
    """The command's arguments with those that shorten it: argparse takes the last of two."""
    if module != "jaxopt_notes.train" or "--summary" in arguments:
        return arguments
    if "--resume" in arguments:
        return [*arguments, "--epochs", "2"]
    more = ["--epochs", "1", "--batch-size", "64"]
    return [*arguments, *more, *([] if "--model" in arguments else SMALL.split())]


def started(arguments, port):
    """A training in a process of its own: in this one, JAX has its devices already."""
    own = ["--dataset", "mnist-12k", "--batch-size", "400", "--schedule", "constant"]
    if "--coordinator" in arguments:
        own += ["--coordinator", f"127.0.0.1:{port}"]
    return subprocess.Popen(
        [*TRAIN, *arguments, *own],
        env=os.environ | ENVIRONMENT,
        stdout=subprocess.DEVNULL,
    )


@pytest.fixture(name="children")
def _children():
    children = []
    yield children
    for child in children:
        child.kill()
        child.wait()


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN)
def test_the_commands_of_a_page_run_in_their_order(page, digits, children, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        setup, "load", lambda name, *rest: load(name, *rest) if "/" in name else digits
    )
    if page != "docs/long-runs.md":  # runs of the other pages draw no pictures
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    RUN[page](digits)
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
    for line in lines(page):
        if line in NOT_RUN:
            continue
        python, m, module, *arguments = shlex.split(line)
        assert (python, m) == ("python", "-m"), line
        small = made_small(module, arguments)
        if "--mesh" in arguments or "--coordinator" in arguments:
            children.append(started(small, port))
            if "--process-id 0" not in line:
                assert {child.wait(timeout=300) for child in children} == {0}, line
        else:
            assert run(module, small) == ENDS.get(line, 0), line
        if "--out" in arguments and "--process-id 0" not in line:
            assert Path(arguments[arguments.index("--out") + 1]).exists(), line
