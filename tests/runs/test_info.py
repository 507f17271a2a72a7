"""What a run is made of, from its record to JSON and back; files of earlier versions are read."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from jaxopt_notes.config.settings import resolve
from jaxopt_notes.errors import InputError
from jaxopt_notes.runs import checkpoint, info, session
from jaxopt_notes.runs.info import DataInfo, DeviceInfo, ModelInfo, RunInfo
from tests.config.samples import SINCE

pytestmark = pytest.mark.usefixtures("no_pictures")

# A config.json as version 0.1.0 wrote it before this record existed, with fewer classes.
WRITTEN = """{
  "jaxopt_notes": "0.1.0",
  "versions": {"jax": "0.10.2", "flax": "0.12.8", "optax": "0.2.8"},
  "device": {
    "kind": "cpu", "count": 2, "processes": 1, "cores": 4,
    "optimizer_state": 437548, "optimizer_state_whole": 875096
  },
  "config": {
    "model": "mlp", "pooling": null, "widths": [128, 64], "norm": "none", "activation": "relu",
    "dropout": 0.0, "optimizer": "adam", "hyperparameters": {"b1": 0.8}, "learning_rate": 0.003,
    "schedule": "one-cycle", "warmup": null, "switch_at": null, "shift": 2, "epochs": 1,
    "batch_size": 64, "seed": 3, "dataset": "mnist-12k", "data_dir": null, "image_size": null,
    "out": "run", "compilation_cache": "off", "clip_norm": null, "ema": null, "patience": null,
    "on_nonfinite": "stop", "checkpoint_every": null, "keep": 2, "tensorboard": false,
    "profile": false, "mesh": "data=2", "shard_optimizer_state": true
  },
  "data": {
    "name": "mnist-12k", "note": "a note", "train": 10000, "test": 2000,
    "image_shape": [28, 28, 1], "class_names": ["0", "1"],
    "mean": [0.13207429871948778], "std": [0.30960000248444264], "fingerprint": "891f54e8"
  },
  "model": {"name": "mlp", "parameters": 109386},
  "steps_per_epoch": 156
}"""
CONFIG = resolve(
    {
        "model": "mlp",
        "b1": 0.8,
        "epochs": 1,
        "seed": 3,
        "dataset": "mnist-12k",
        "out": "run",
        "compilation_cache": "off",
        "mesh": 2,
        "shard_optimizer_state": True,
    },
    examples=10_000,
)
RECORD = RunInfo(
    jaxopt_notes="0.1.0",
    versions={"jax": "0.10.2", "flax": "0.12.8", "optax": "0.2.8"},
    device=DeviceInfo(
        kind="cpu",
        count=2,
        processes=1,
        cores=4,
        optimizer_state=437548,
        optimizer_state_whole=875096,
    ),
    config=CONFIG,
    data=DataInfo(
        name="mnist-12k",
        note="a note",
        train=10000,
        test=2000,
        image_shape=(28, 28, 1),
        class_names=("0", "1"),
        mean=(0.13207429871948778,),
        std=(0.30960000248444264,),
        fingerprint="891f54e8",
    ),
    model=ModelInfo(name="mlp", parameters=109386),
    steps_per_epoch=156,
)


def test_an_earlier_config_json_is_read_and_written_with_the_same_keys_in_order():
    assert info.from_json(json.loads(WRITTEN)) == RECORD
    now = json.loads(WRITTEN)
    now["config"]["warmup"] = 0.25  # the choice that null left open
    now["config"] |= SINCE
    assert json.dumps(info.to_json(RECORD)) == json.dumps(now)


def test_what_older_files_lack_has_its_default_and_what_newer_ones_add_is_ignored():
    value = json.loads(WRITTEN)
    for name in ("jaxopt_notes", "versions", "device", "model", "steps_per_epoch"):
        del value[name]
    del value["data"]["fingerprint"], value["config"]["keep"]
    value |= {"new": 1, "device": {"kind": "cpu", "new": 1}}
    read = info.from_json(value)
    assert read.config == CONFIG
    assert read.data == replace(RECORD.data, fingerprint="")
    assert (read.device, read.model) == (DeviceInfo(kind="cpu"), ModelInfo())


@pytest.mark.parametrize("name", ["image_shape", "class_names"])
def test_a_file_without_what_the_network_needs_is_refused(tmp_path, name):
    value = json.loads(WRITTEN)
    del value["data"][name]
    (tmp_path / "config.json").write_text(json.dumps(value))
    with pytest.raises(InputError, match=f"does not describe a run .*{name}"):
        info.read(str(tmp_path))


def test_a_runs_own_file_is_its_record(small):
    assert small("--quiet", "--optimizer", "sgd", "--momentum", "0.5", "--widths", "8,4") == 0
    written = json.loads(Path("run/config.json").read_text())
    assert json.loads(json.dumps(info.to_json(info.read("run")))) == written
    position = json.loads(Path("run/checkpoints/8/position/metadata").read_text())
    assert position["run"] == written
    assert info.from_json(position["run"]) == info.read("run")


def test_a_checkpoint_of_an_earlier_version_is_resumed(small, capsys, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "FORM", 1)
        assert small("--quiet") == 0
    path = Path("run/checkpoints/8/position/metadata")
    position = json.loads(path.read_text())
    earlier = ("epoch", "in_epoch", "seconds", "sums", "key", "rows", "step", "checksums", "run")
    assert set(position) == set(earlier)
    assert position["checksums"].pop("form") == 1
    assert position["checksums"].pop("position")
    versions = {"jaxopt_notes": "0.1.0", **position["run"]["versions"]}
    path.write_text(json.dumps(position | {"versions": versions}))
    assert small("--resume", "run", "--epochs", "2") == 0
    assert "resumed after step 8, in epoch 2\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"image_shape": (32, 32, 3)},
            "its images are 32×32×3, but this run was trained on 28×28×1",
        ),
        ({"class_names": ("a", "b")}, "its classes are not the 2 that"),
        ({"fingerprint": "0"}, "have changed since this run began; .* add --override"),
    ],
)
def test_another_data_set_is_refused_by_what_differs(change, words):
    now = replace(RECORD, data=replace(RECORD.data, **change))
    with pytest.raises(InputError, match=f"^--dataset mnist-12k: .*{words}"):
        session.refuse_other_data(RECORD, now, override=False)
    session.refuse_other_data(RECORD, RECORD, override=False)
    if "fingerprint" in change:
        session.refuse_other_data(RECORD, now, override=True)
