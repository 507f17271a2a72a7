"""A file that is no checkpoint, or an attacker's, is refused in one line and never executed."""

import io
import os
import pickle
import tarfile
from pathlib import Path

import pytest

from jaxopt_notes import convert
from tests.exchange.checkpoints import Script
from tests.models.torch_networks import torch

pytestmark = pytest.mark.usefixtures("small", "no_pictures")


class Attack:
    """A pickle of it makes a folder when it is read."""

    def __reduce__(self):
        return os.mkdir, ("executed",)


def refused(capsys, *options, source="c.pt", out="run"):
    """The line that refuses a source; nothing is written."""
    assert convert.main([source, "--out", out, *options]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("error: ")
    assert not Path(out).exists()
    assert not Path("executed").exists()
    return error


def zipped():
    torch.save({"model": {"1.weight": torch.zeros(8, 784)}, "more": Attack()}, "c.pt")


def unzipped():
    torch.save([Attack()], "c.pt", _use_new_zipfile_serialization=False)


def bare():
    Path("c.pt").write_bytes(pickle.dumps(Attack()))


def whole_module():
    torch.save(torch.nn.Linear(2, 2), "c.pt")


def script():
    torch.jit.script(torch.nn.Linear(2, 2)).save("c.pt")


def truncated():
    torch.save({"1.weight": torch.zeros(8, 784)}, "c.pt")
    content = Path("c.pt").read_bytes()
    Path("c.pt").write_bytes(content[: len(content) // 2])


def brackets():
    Path("c.pt").write_text("[" * 100_000)


def text():
    Path("c.pt").write_text("weights\n")


def empty():
    Path("c.pt").write_bytes(b"")


def tar():
    """As torch wrote files before 0.1.10."""
    with tarfile.open("c.pt", "w") as archive:
        for name in ("sys_info", "pickle", "tensors", "storages"):
            content = pickle.dumps(Attack())
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def a_list():
    torch.save([torch.zeros(2)], "c.pt")


def nothing_in_it():
    torch.save({"epoch": 3}, "c.pt")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("write", "words"),
    [
        (zipped, "needs posix.mkdir to be loaded, and no code that a file names is executed"),
        (unzipped, "needs posix.mkdir to be loaded"),
        (bare, "is not a checkpoint that torch can read"),
        (whole_module, "needs torch.nn.modules.linear.Linear to be loaded"),
        (script, "is a TorchScript program"),
        (truncated, "is not a checkpoint that torch can read"),
        (brackets, "is not a checkpoint that torch can read"),
        (text, "is not a checkpoint that torch can read"),
        (empty, "is not a checkpoint that torch can read"),
        (tar, "is not a checkpoint that torch can read"),
        (a_list, "holds a list; save a state_dict"),
        (nothing_in_it, "has no state_dict in it"),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_a_file_that_is_no_checkpoint_is_one_line(write, words, capsys):
    write()
    assert words in refused(capsys)


@pytest.mark.parametrize(
    "content", [b"", b"x", b"\xff" * 8, b"\xff\xff\0\0\0\0\0\0{}", b"[" * 100_000]
)
def test_a_file_that_is_no_safetensors_is_one_line(content, capsys):
    pytest.importorskip("safetensors", reason="safetensors is not installed")
    Path("c.safetensors").write_bytes(content)
    assert "is not a safetensors file" in refused(capsys, source="c.safetensors")


def test_odd_places_are_one_line(capsys):
    assert "does not exist" in refused(capsys, source="none.pt")
    Path("folder").mkdir()
    assert "SOURCE folder: holds neither a run" in refused(capsys, source="folder", out="x.pt")
    Path("folder/optimizer.pt").write_bytes(b"")
    assert "has no model.safetensors or pytorch_model.bin" in refused(capsys, source="folder")
    Path("names.json").write_text("[" * 100_000)
    torch.save({"1.weight": torch.zeros(8, 784)}, "c.pt")
    assert "--names names.json: cannot be read as JSON" in refused(capsys, "--names", "names.json")
    Path("names.json").write_text("3")
    assert "is not a list of names" in refused(capsys, "--names", "names.json")
    assert "--which best: only for a run" in refused(capsys, "--which", "best")


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        lambda parts: parts["optimizer"].update(param_groups=[{"params": "x"}]),
        lambda parts: parts["optimizer"].update(state=7),
        lambda parts: parts["optimizer"]["param_groups"][0].update(lr="x"),
        lambda parts: parts["optimizer"]["param_groups"][0].update(lr=[]),
        lambda parts: parts["optimizer"]["param_groups"][0].update(betas=3),
        lambda parts: parts["optimizer"]["param_groups"][0].update(eps=torch.zeros(3)),
        lambda parts: parts["optimizer"]["param_groups"][0].pop("lr"),
        lambda parts: parts["optimizer"]["state"][0].update(step="x"),
        lambda parts: parts["optimizer"]["state"][0].update(step=torch.tensor(float("inf"))),
        lambda parts: parts["optimizer"]["state"][0].update(exp_avg=torch.zeros(3)),
        lambda parts: parts["optimizer"]["state"][0].update(exp_avg="x"),
        lambda parts: parts["optimizer"]["state"].update({1: 3}),
        lambda parts: parts["optimizer"]["state"].pop(1),
        lambda parts: parts["optimizer"]["param_groups"][0]["params"].append([]),
        lambda parts: parts.update(step=10**30),
        lambda parts: parts.update(scheduler={"gamma": "x", "last_epoch": 2, "base_lrs": [1]}),
        lambda parts: parts.update(scheduler={"gamma": 0.5, "last_epoch": 2, "base_lrs": []}),
        lambda parts: parts.update(scheduler={"T_max": 10**12, "eta_min": 0, "last_epoch": 2}),
        lambda parts: parts.update(scheduler=[{}, {}]),
        lambda parts: parts["model"].update({"1.weight": 3}),
        lambda parts: parts["model"].update({"1.weight": torch.zeros(8, 783)}),
        lambda parts: parts.update(model={}),
        lambda parts: parts.update(model={3: torch.zeros(2)}),
    ],
)
def test_parts_that_torch_would_not_write_are_one_line(change, digits, capsys):
    parts = Script(digits).with_optimizer("Adam", lr=0.003).train(2).checkpoint()
    change(parts)
    torch.save(parts, "c.pt")
    refused(capsys, "--batch-size", "128")
