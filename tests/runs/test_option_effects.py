"""Each option of `python -m jaxopt_notes.train` has its effect: one table, a row an option.

Where an option changes numbers, a plain loop with optax says what they have to be, and without the
option it says something else. `ran(options)` runs the command on a few digits (tests/shared.py).
"""

import functools
import inspect
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
import pytest

import jaxopt_notes
from jaxopt_notes import predict, train
from jaxopt_notes.config.optimizers import OPTIMIZERS
from jaxopt_notes.data import epoch_order
from jaxopt_notes.data.tfds import tfrecord
from jaxopt_notes.inference.trained import load_trained
from jaxopt_notes.training import setup
from jaxopt_notes.training.setup import prepare
from tests import drawn_keys, plain_training
from tests.data import tiny_sets
from tests.plain_training import constant, cosine, one_cycle
from tests.run_files import BASE, rows, without_seconds, without_watch
from tests.slow_cases import slow_but
from tests.virtual_devices import COMPILE_SOON, environment

STEPS = 8  # of the base run: two epochs of four


class Tools(NamedTuple):
    """What a row's check may use."""

    run: Callable[..., Any]  # ran(options) of tests/shared.py
    digits: Any
    patch: pytest.MonkeyPatch
    folder: Path  # the current one, empty
    capsys: Any


Check = Callable[[Tools, str], None]


class Effect(NamedTuple):
    """The first of the options is the one whose effect is checked."""

    options: str
    check: Check


def losses(rows):
    """Training and test loss of each epoch, float64 (epochs, 2)."""
    return np.array([[row["train_loss"], row["test_loss"]] for row in rows])


def assert_follows(ours, expected, without):
    """Our losses equal the expected ones, and are far from those of each run in `without`."""
    error = np.abs(losses(ours) - losses(expected)).max()
    assert error < 1e-5
    for other in without:
        effect = np.abs(losses(expected)[: len(other)] - losses(other)[: len(expected)]).max()
        effect = np.nan_to_num(effect, nan=np.inf)  # without the argument the run diverges
        assert error < 0.1 * effect
        assert effect > 2e-5
    for row, plain in zip(ours, expected, strict=True):
        assert (row["epoch"], row["step"]) == (plain["epoch"], plain["step"])
        assert row["train_accuracy"] == pytest.approx(plain["train_accuracy"], abs=2 / 512)
        assert row["test_accuracy"] == pytest.approx(plain["test_accuracy"], abs=2 / 300)


def follows(**plain: Any) -> Check:
    """The run is a plain loop's with these arguments, and not one without them."""

    def check(tools, options):
        expected = plain_training.train(tools.digits, **plain)
        assert_follows(
            tools.run(options).rows, expected, [plain_training.train(tools.digits)] if plain else []
        )

    return check


# --- the run


def clipped(rate):
    return optax.chain(optax.clip_by_global_norm(0.05), optax.adam(rate))


def clips_before_the_optimizer(tools, options):
    def clipped_after(rate):
        return optax.chain(optax.adam(rate), optax.clip_by_global_norm(0.05))

    rows = tools.run(options).rows
    expected = plain_training.train(tools.digits, clipped)
    without = [plain_training.train(tools.digits, o) for o in (clipped_after, optax.adam)]
    assert_follows(rows, expected, without)


def evaluates_the_average_too(tools, options):
    """The average has this β from its third step on; another β would give other numbers."""
    rows = tools.run(f"{options} --learning-rate 0.02").rows
    assert without_ema(rows) == without_seconds(tools.run("--learning-rate 0.02").rows)
    expected, other = (
        plain_training.train(tools.digits, learning_rate=0.02, ema=beta) for beta in (0.2, 0.5)
    )
    for row, right, wrong in zip(rows, expected, other, strict=True):
        assert row["ema_test_loss"] == pytest.approx(right["ema_test_loss"], abs=1e-5)
        assert row["ema_test_accuracy"] == pytest.approx(right["ema_test_accuracy"], abs=2 / 300)
        for unlike in (wrong["ema_test_loss"], row["test_loss"]):
            assert row["ema_test_loss"] != pytest.approx(unlike, abs=1e-4)


def without_ema(rows):
    return [
        {k: v for k, v in row.items() if not k.startswith("ema")} for row in without_seconds(rows)
    ]


def decides_weights_and_order(tools, options):
    def with_order_of(seed):
        return lambda _, *rest: epoch_order(seed, *rest)

    expected = plain_training.train(tools.digits, seed=1)
    others = [
        plain_training.train(tools.digits, seed=weights, order=with_order_of(order))
        for weights, order in ((0, 0), (0, 1), (1, 0))
    ]
    assert_follows(tools.run(options).rows, expected, others)
    assert without_seconds(tools.run(options, anew=True).rows) == without_seconds(
        tools.run(options).rows
    )


def shifts_training_images_only(tools, options):
    """Training images are shifted by up to N pixels, and test images are not."""
    shifted = tools.run(f"{options} --checkpoint-every 99", anew=True)
    for other in (tools.run(), tools.run("--shift 1")):
        assert (abs(losses(shifted.rows) - losses(other.rows))[:, 0] > 1e-3).all()
    expected_loss = loss_of_the_last_checkpoint(shifted.folder, tools.digits)
    assert shifted.rows[-1]["test_loss"] == pytest.approx(expected_loss, abs=1e-5)


def loss_of_the_last_checkpoint(folder, data):
    """The test loss of the last checkpoint's weights in float64, for the base run's network."""
    weights = jax.tree.map(
        lambda x: np.asarray(x, np.float64), load_trained(str(folder), "last").weights.params
    )
    scale = data.train_images / 255.0
    x = ((data.test_images / 255.0 - scale.mean()) / scale.std()).reshape(300, -1)
    hidden = weights["hidden"][0]
    x = np.maximum(x @ hidden["kernel"] + hidden["bias"], 0)
    logits = x @ weights["logits"]["kernel"] + weights["logits"]["bias"]
    picked = logits[np.arange(300), data.test_labels]
    return (np.log(np.exp(logits).sum(1)) - picked).mean()


def drops_features_in_training_only(tools, options):
    """The number of features that stay, read off the loss, is binomial and never twice the same.

    Weights that do not move, one feature and equal images: a loss is one of two.
    """
    one = tools.digits._replace(
        train_images=np.repeat(tools.digits.train_images[:1], 512, 0),
        train_labels=np.repeat(tools.digits.train_labels[:1], 512),
    )
    tools.patch.setattr(setup, "load", lambda *_: one)
    still = "--widths 1 --activation sigmoid --learning-rate 1e-30 --batch-size 512 --epochs 3"
    numbers = {}
    for seed in (0, 1):
        (hidden, logits) = plain_training.initial_parameters(seed, (1,), "sigmoid")
        scale = one.train_images[0] / 255.0
        x = ((scale - scale.mean()) / max(scale.std(), 1e-9)).ravel()
        feature = 1 / (1 + np.exp(-(x @ np.asarray(hidden["kernel"], np.float64))))
        out = np.asarray(logits["kernel"], np.float64)
        label = one.train_labels[0]

        def loss(feature, out=out, label=label):
            z = (feature * out).ravel()
            return np.log(np.exp(z).sum()) - z[label]

        low, high = loss(np.zeros(1)), loss(feature / (1 - 0.25))
        rows = tools.run(f"{options} {still} --seed {seed}", anew=True).rows
        stay = [(row["train_loss"] - low) / (high - low) * 512 for row in rows]
        assert stay == pytest.approx(np.round(stay), abs=0.05)
        assert all(abs(n - 0.75 * 512) < 50 for n in stay)
        numbers[seed] = np.round(stay).tolist()
        # Nothing is dropped, nor made up for, where it is evaluated.
        whole = plain_training.train(
            one, learning_rate=0.0, batch_size=512, seed=seed, widths=(1,), activation="sigmoid"
        )
        assert [row["test_loss"] for row in rows] == pytest.approx([whole[0]["test_loss"]] * 3)
    assert len({*numbers[0], *numbers[1]}) >= 5  # six draws, each by a key of its own


def trains_with_batch_statistics(tools, options):
    sgd = functools.partial(optax.sgd, momentum=0.9)  # Adam would magnify a gradient of 0
    plain = functools.partial(plain_training.train, tools.digits, sgd, learning_rate=0.05)
    ran = tools.run(f"{options} --optimizer sgd --momentum 0.9 --learning-rate 0.05")
    rows = ran.rows
    assert_follows(rows, plain(norm="batch"), [plain()])
    scores = json.loads((ran.folder / "metrics.json").read_text())
    assert scores["accuracy"] == pytest.approx(rows[-1]["test_accuracy"], rel=1e-12)


def runs_for_three_epochs(tools, options):
    follows(epochs=3)(tools, options)
    assert len(tools.run(options).rows) == 3


def leaves_out_the_incomplete_batch(tools, options):
    follows(batch_size=100)(tools, options)
    assert [row["step"] for row in tools.run(options).rows] == [5, 10]


def switches_at_that_share(tools, options):
    ran = tools.run(options)
    assert [row["switched_at"] for row in ran.rows] == [2, 2]

    def at(step):
        return lambda rate: plain_training.adam_then_sgd(rate, one_cycle(0.05, STEPS), step)

    expected, *others = (plain_training.train(tools.digits, at(step)) for step in (2, 1, 3, 8))
    assert_follows(ran.rows, expected, others)


# --- resuming and guarding


def goes_on_where_it_was_left(tools, options):
    clock = time.perf_counter
    with tools.patch.context() as patch:
        patch.setattr(time, "perf_counter", lambda: 1e4 * clock())  # an epoch takes hours
        begun = tools.run("--epochs 1 --schedule constant --checkpoint-every 99", anew=True)
    whole = tools.run("--schedule constant")
    assert train.main(["--resume", str(begun.folder), "--epochs", "2", "--quiet"]) == 0
    assert without_seconds(begun.rows) == without_seconds(whole.rows)
    first, second = (row["seconds"] for row in begun.rows)
    assert 100 < first < second < first + 60


def lets_a_resumed_run_change(tools, options):
    """The second epoch has the order of seed 1, and goes on with the weights of seed 0."""
    begun = tools.run("--epochs 1 --schedule constant --checkpoint-every 99", anew=True)
    resume = ["--resume", str(begun.folder), "--epochs", "2", "--quiet", "--seed", "1"]
    assert train.main(resume) == 2
    assert train.main([*resume, "--override"]) == 0

    def order(_, epoch, *rest):
        return epoch_order(min(epoch, 1), epoch, *rest)

    plain = functools.partial(plain_training.train, tools.digits, schedule=constant)
    assert_follows(begun.rows, plain(order=order), [plain()[1:] + plain()[:1]])
    assert losses(begun.rows)[1, 1] != pytest.approx(losses(plain())[1, 1], abs=1e-5)
    assert begun.config["seed"] == 1


def counts_checkpoints_steps_from_the_runs_start(tools, options):
    # An epoch has 64 steps, in stretches of two: 27 and 81 are in the middle of a stretch.
    ran = tools.run(f"{options} --keep 99 --batch-size 8")
    ends = {64, 128}
    assert ran.checkpoints - ends == {27, 54, 81, 108}


def keeps_the_newest_and_the_best(tools, options):
    ran = tools.run(f"{options} --checkpoint-every 1 --learning-rate 0.05 --epochs 4")
    best = max(ran.rows, key=lambda row: (row["test_accuracy"], row["step"]))
    assert ran.checkpoints == {14, 15, 16, best["step"]}


def stops_skips_or_saves(tools, options):
    """The second loss is not finite."""
    diverge = "--optimizer sgd --schedule constant --learning-rate 1e30 --checkpoint-every 99"
    stop = tools.run(diverge)
    skip = tools.run(f"{diverge} --on-nonfinite skip")
    save = tools.run(f"{diverge} {options}")
    assert [ran.code for ran in (stop, skip, save)] == [2, 2, 2]
    assert "at step 2;" in stop.err
    assert "at step 4;" in skip.err  # the epoch ends, and the test loss is not finite
    assert "at step 2;" in save.err
    assert (stop.checkpoints, save.checkpoints) == (set(), {1})
    params = load_trained(str(save.folder), "last").weights.params
    kernel = np.asarray(params["hidden"][0]["kernel"])
    assert np.isfinite(kernel).all()
    assert np.abs(kernel).max() > 1e20  # one step has been taken


def ends_without_progress(tools, options):
    """With weights that stand still, the first epoch is the best; then patience runs out."""
    ran = tools.run(f"{options} --learning-rate 1e-30 --epochs 9")
    assert ran.code == 0
    assert len(ran.rows) == 1 + 3
    assert "3 epochs" in ran.err
    # Progress starts the count anew.
    learning = tools.run(f"{options} --epochs 12 --learning-rate 0.03")
    accuracies = [row["test_accuracy"] for row in learning.rows]
    for end in range(1, len(accuracies) + 1):
        best = accuracies.index(max(accuracies[:end]))
        assert (end - 1 - best >= 3) <= (end == len(accuracies))


# --- the network


def layers(tools, options, base=BASE):
    """The names and parameters of `--summary --json`."""
    ran = tools.run(f"--summary --json {options}", base=base)
    assert ran.code == 0
    assert not ran.folder.exists()
    return {row["name"]: row["parameters"] for row in json.loads(ran.out)}


def is_convolutional(tools, options):
    assert "conv 3×3, 32" in layers(tools, options, base="")
    assert "conv 3×3, 32" not in layers(tools, "--model mlp", base="")


def pools_otherwise(tools, options):
    for pooling, layer in {
        "max": "max pool 2×2",
        "average": "average pool 2×2",
        "stride": "conv 3×3, 32, stride 2",
        "gap": "global average pool",
    }.items():
        assert layer in layers(tools, f"--model cnn --pooling {pooling}", base="")
    rates = [prepare({"pooling": pooling}).config.learning_rate for pooling in ("max", "gap")]
    assert rates[1] == pytest.approx(10 * rates[0])  # its gradients are smaller


def makes_the_cnn_so(*names):
    """The CNN has these layers with the option, and without it none of them."""

    def check(tools, options):
        for name in names:
            assert name in layers(tools, f"--model cnn {options}", base="")
            assert name not in layers(tools, "--model cnn", base="")

    return check


def begins_within_torch_bounds(tools, options):
    """Weights that do not move: each layer fills ±1/√fan_in, its bias too; He's go far beyond."""
    still = "--learning-rate 1e-30 --checkpoint-every 99"
    outside = []
    for init in (options, ""):
        params = load_trained(str(tools.run(f"{still} {init}").folder), "last").weights.params
        for layer in (params["hidden"][0], params["logits"]):
            bound = len(layer["kernel"]) ** -0.5
            outside.append(float(abs(layer["kernel"]).max()) / bound)
            assert (1e-3 < abs(layer["bias"]).max() <= bound) == bool(init)
    assert 0.9 < min(outside[:2]) <= max(outside[:2]) <= 1 < 1.5 < min(outside[2:])


def prints_the_layers_and_trains_nothing(tools, options):
    assert [n for n in layers(tools, "").values() if n] == [785 * 8, 9 * 10]
    ran = tools.run(options)
    assert "dense 8" in ran.out
    assert not ran.folder.exists()


# --- many devices

ON_DEVICES = """
import json, sys
import jax
from jaxopt_notes import train
from jaxopt_notes.runtime import compilation
from jaxopt_notes.training.epochs import first_progress
from jaxopt_notes.training import setup
from jaxopt_notes.training.setup import prepare

compilation.OPTIONS["xla_backend_optimization_level"] = 0
sys.modules["matplotlib.figure"] = None  # no pictures
args = "--dataset mnist-12k --model mlp --widths 8 --shift 0 --epochs 1 --batch-size 5000 --quiet"
args += " --checkpoint-every off --compilation-cache kept"
for name, options in json.loads(sys.argv[1]).items():
    assert train.main([*args.split(), "--out", name, *options.split()]) == 0

def parts(**settings):
    setup = prepare({"model": "mlp", "widths": (8,), "dataset": "mnist-12k", **settings})
    state = first_progress(setup).state
    return [x.addressable_shards[0].data.size / x.size for x in jax.tree.leaves(state.opt_state)]

layout = {"whole": parts(), "cut": parts(shard_optimizer_state=True)}
print(json.dumps(layout | {"devices": jax.device_count()}))
"""
DEVICES = {
    "all": "",
    "one": "--mesh data=1",
    "cut": "--mesh data=2 --shard-optimizer-state",
    "watched": "--mesh data=2 --shard-optimizer-state --watch",
}


@functools.cache
def on_two_devices(folder):
    """Runs the command on two devices in a process of its own, and returns what that printed."""
    done = subprocess.run(
        [sys.executable, "-c", ON_DEVICES, json.dumps(DEVICES)],
        cwd=folder,
        env=environment(2, COMPILE_SOON),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="session")
def two_devices(tmp_path_factory):
    """The folder of the runs of `DEVICES`, and how their states lay."""
    folder = tmp_path_factory.mktemp("devices")
    return folder, on_two_devices(folder)


def device(folder, name):
    return json.loads((folder / name / "config.json").read_text())["device"]


@pytest.mark.slow
def test_mesh_says_how_many_devices_share_a_batch(two_devices):
    folder, layout = two_devices
    assert layout["devices"] == 2
    assert list((folder / "kept").glob("jit_many-*"))
    assert [device(folder, name)["count"] for name in DEVICES] == [2, 1, 2, 2]
    all_rows, one, cut, watched = (rows(folder / name) for name in DEVICES)
    np.testing.assert_allclose(losses(all_rows), losses(one), rtol=1e-4)
    np.testing.assert_allclose(losses(cut), losses(one), rtol=1e-4)
    np.testing.assert_array_equal(losses(watched), losses(cut))
    assert watched[0]["watch"]["logits/bias/gradient_norm"] > 0


@pytest.mark.slow
def test_shard_optimizer_state_leaves_each_device_its_part(two_devices):
    folder, layout = two_devices
    assert set(layout["whole"]) == {1}
    assert sorted(set(layout["cut"])) == [0.5, 1]  # a counter has no parts
    cut, whole = device(folder, "cut"), device(folder, "all")
    assert whole["optimizer_state"] == whole["optimizer_state_whole"]
    assert cut["optimizer_state_whole"] == whole["optimizer_state"]
    assert cut["optimizer_state"] == pytest.approx(whole["optimizer_state"] / 2, abs=20)


def test_compilation_cache_says_where_programs_are_kept(ran, monkeypatch, tmp_path):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "default"))
    assert ran("--compilation-cache off", anew=True).config["compilation_cache"] == "off"
    assert not (tmp_path / "default").exists()
    assert ran(anew=True).config["compilation_cache"] == str(tmp_path / "default")
    assert list((tmp_path / "default").glob("jit_many-*"))  # the training loop


def too_many_devices(tools, options):
    ran = tools.run(options)
    assert ran.code == 2
    assert "--mesh data=99" in ran.err


def trains_in_a_child_among_others(tools, options):
    """The command starts itself once more, hands its options on, and returns the child's code."""
    commands = []

    class Child:
        def __init__(self, command, env, **_):
            commands.append((command, env))

        def wait(self):
            return 7

    tools.patch.setattr(subprocess, "Popen", Child)
    tools.patch.setattr("signal.signal", lambda *_: None)
    alone = "--coordinator localhost:1234 --processes 3 --process-id 2"
    process_options = {"--distributed": "--distributed"}.get(options, alone)
    assert tools.run(process_options, anew=True).code == 7
    ((command, env),) = commands
    assert command[1:3] == ["-m", "jaxopt_notes.train"]
    assert " ".join(command).endswith(process_options)
    assert env.keys() > os.environ.keys()
    if process_options == alone:  # the three belong together
        ran = tools.run(options, anew=True)
        assert ran.code == 2
        for name in {"--coordinator", "--processes", "--process-id"} - {options.split()[0]}:
            assert name in ran.err
    assert len(commands) == 1


# --- data and output


def loads_that_set(tools, options):
    """A folder of pictures of 6 rows and 5 columns, and the pictures scaled by --image-size."""
    undo_the_fixtures_load(tools)
    tiny_sets.write_folder(tools.folder / "pets", ["cat", "dog"], 20, (6, 5))
    shapes = {
        image_size: tools.run(
            f"--dataset ./pets --batch-size 4 --shift 0 {image_size}", anew=True
        ).described["data"]["image_shape"]
        for image_size in ("", "--image-size 7x8")
    }
    assert list(shapes.values()) == [[6, 5, 1], [7, 8, 1]]


def allows_links_out_of_the_folder(tools, options):
    undo_the_fixtures_load(tools)
    tiny_sets.write_folder(tools.folder / "pets", ["cat", "dog"], 20, (6, 5))
    tiny_sets.write_folder(tools.folder / "elsewhere", ["emu"], 10, (6, 5))
    (tools.folder / "pets" / "emu").symlink_to(tools.folder / "elsewhere" / "emu")
    pets = "--dataset ./pets --batch-size 4 --checkpoint-every 99"
    refused = tools.run(pets, anew=True)
    assert refused.code == 2
    assert options in refused.err
    ran = tools.run(f"{pets} {options}", anew=True)
    assert ran.described["data"]["class_names"] == ["cat", "dog", "emu"]
    run, split = str(ran.folder), ["--split", "test", "--json"]
    assert train.main(["--resume", run, "--epochs", "3", "--quiet"]) == 0
    assert predict.main(["--run", run, *split]) == 0
    tools.capsys.readouterr()
    assert predict.main(["--run", run, *split, options.replace("--", "--no-")]) == 2
    assert options in tools.capsys.readouterr().err


def looks_there_for_sets(tools, options):
    undo_the_fixtures_load(tools)
    tools.patch.setenv("TFDS_DATA_DIR", str(tools.folder / "elsewhere"))
    tiny_sets.write_images(tools.folder / "sets", "tiny", (6, 5))
    ran = tools.run(f"--dataset tiny --batch-size 4 {options}", anew=True)
    assert ran.described["data"]["image_shape"] == [6, 5, 1]
    assert tools.run("--dataset tiny --batch-size 4", anew=True).code == 2


def undo_the_fixtures_load(tools):
    tools.patch.setattr(setup, "load", jaxopt_notes.data.load)


def writes_there(tools, options):
    ran = tools.run(f"{options} --epochs 1", anew=True)
    assert not ran.folder.exists()
    assert {"config.json", "metrics.json", "metrics.jsonl"} <= set(os.listdir("there"))
    assert "there" in ran.out


def writes_the_rows_as_events(tools, options):
    pytest.importorskip("tensorboardX", reason="needs the extra `tensorboard`")
    from tensorboardX.proto.event_pb2 import Event

    ran = tools.run(options)
    assert not (tools.run().folder / "tensorboard").exists()
    (file,) = (ran.folder / "tensorboard").iterdir()
    events = [Event.FromString(record) for record in tfrecord.records(file)]
    scalars = {(e.step, v.tag): v.simple_value for e in events for v in e.summary.value}
    expected = {
        (row["step"], name): value
        for row in ran.rows
        for name, value in row.items()
        if name.endswith(("loss", "accuracy"))
    }
    assert expected.keys() <= scalars.keys()
    assert {step for step, _ in scalars} == {4, 8}
    for key, value in expected.items():
        assert scalars[key] == pytest.approx(value, rel=1e-6)


def reads_what_the_optimizer_does(tools, options):
    """SGD moves by the learning rate times what clipping leaves of the gradient."""
    sgd = "--optimizer sgd --schedule constant --learning-rate 0.25 --clip-norm 0.05 --epochs 3"
    ran = tools.run(f"{options} {sgd}")
    read = ran.rows[-1]["watch"]
    assert read["0 clip_by_global_norm/clipped"] == 1
    groups = ("hidden/0/bias", "hidden/0/kernel", "logits/bias", "logits/kernel")
    clipped = [read[f"{group}/norm_after/0 clip_by_global_norm"] for group in groups]
    assert np.linalg.norm(clipped) == pytest.approx(0.05, rel=1e-5)
    moved = [read[f"{group}/update_norm"] for group in groups]
    assert moved == pytest.approx([0.25 * norm for norm in clipped], rel=1e-5)
    assert without_watch(ran.rows) == without_seconds(tools.run(sgd).rows)
    assert "watch" not in tools.run(sgd).rows[-1]


def traces_the_steps_from_10_to_20(tools, options):
    traced, draws = [], drawn_keys.record(tools.patch)

    def trace(*_, **__):
        traced.append(draws.count("randint"))  # a step draws one shift

    tools.patch.setattr(jax.profiler, "start_trace", trace)
    tools.patch.setattr(jax.profiler, "stop_trace", trace)
    tools.run(f"{options} --shift 1 --epochs 6", anew=True)
    assert traced == [10, 20]


def prints_nothing(tools, options):
    ran = tools.run(options)
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    assert without_seconds(ran.rows) == without_seconds(tools.run().rows)


def prints_a_json_value_a_line(tools, options):
    ran = tools.run(f"{options} --checkpoint-every 99")
    header, *printed, summary = map(json.loads, ran.out.splitlines())
    assert header == {"header": ran.described, "notes": []}
    assert printed == ran.rows
    assert summary["summary"] == ran.rows[-1]
    assert summary["out"] == str(ran.folder)
    assert set(summary["files"]) <= set(os.listdir(ran.folder))
    scores = json.loads((ran.folder / "metrics.json").read_text())
    worst = min(scores["classes"], key=lambda row: row["recall"])
    assert summary["worst_class"] == worst
    capsys = tools.capsys
    capsys.readouterr()
    assert train.main(["--resume", str(ran.folder), "--epochs", "3", "--json"]) == 0
    header, *_ = map(json.loads, capsys.readouterr().out.splitlines())
    assert any("step 8" in note for note in header["notes"])


EFFECTS = [
    Effect("--optimizer sgd", follows(optimizer=optax.sgd, learning_rate=0.1)),
    Effect("--learning-rate 0.02", follows(learning_rate=0.02)),
    Effect("--schedule constant", follows(schedule=constant)),
    Effect("--schedule cosine", follows(schedule=cosine)),
    Effect("--warmup 0.5", follows(schedule=functools.partial(one_cycle, warmup=0.5))),
    Effect(
        "--warmup 0.5 --schedule constant",
        follows(schedule=functools.partial(constant, warmup=0.5)),
    ),
    Effect("--switch-at 0.25 --optimizer adam-to-sgd", switches_at_that_share),
    Effect("--epochs 3", runs_for_three_epochs),
    Effect("--batch-size 64", follows(batch_size=64)),
    Effect("--batch-size 100", leaves_out_the_incomplete_batch),
    Effect("--shift 2", shifts_training_images_only),
    Effect("--label-smoothing 0.1", follows(smoothing=0.1)),
    Effect("--seed 1", decides_weights_and_order),
    Effect("--ema 0.2", evaluates_the_average_too),
    Effect("--resume", goes_on_where_it_was_left),
    Effect("--override", lets_a_resumed_run_change),
    Effect("--checkpoint-every 27", counts_checkpoints_steps_from_the_runs_start),
    Effect("--keep 3", keeps_the_newest_and_the_best),
    Effect("--on-nonfinite save", stops_skips_or_saves),
    Effect("--clip-norm 0.05", clips_before_the_optimizer),
    Effect("--patience 3", ends_without_progress),
    Effect("--model cnn", is_convolutional),
    Effect("--pooling gap", pools_otherwise),
    Effect("--widths 5,4", follows(widths=(5, 4))),
    Effect("--norm batch", trains_with_batch_statistics),
    Effect("--norm batch", makes_the_cnn_so("batch norm")),
    Effect("--activation tanh", follows(activation="tanh")),
    Effect("--activation sigmoid", follows(activation="sigmoid")),
    Effect("--activation gelu", follows(activation="gelu")),
    Effect("--activation gelu", makes_the_cnn_so("gelu")),
    Effect("--dropout 0.25", drops_features_in_training_only),
    Effect("--dropout 0.25", makes_the_cnn_so("dropout 0.25")),
    Effect("--init torch", begins_within_torch_bounds),
    Effect("--summary", prints_the_layers_and_trains_nothing),
    Effect("--mesh data=99", too_many_devices),
    Effect("--coordinator localhost:1234", trains_in_a_child_among_others),
    Effect("--processes 3", trains_in_a_child_among_others),
    Effect("--process-id 2", trains_in_a_child_among_others),
    Effect("--distributed", trains_in_a_child_among_others),
    Effect("--dataset ./pets", loads_that_set),
    Effect("--follow-links", allows_links_out_of_the_folder),
    Effect("--data-dir sets", looks_there_for_sets),
    Effect("--out there", writes_there),
    Effect("--tensorboard", writes_the_rows_as_events),
    Effect("--watch", reads_what_the_optimizer_does),
    Effect("--profile", traces_the_steps_from_10_to_20),
    Effect("--quiet", prints_nothing),
    Effect("--json", prints_a_json_value_a_line),
]
# Options whose check is a test of its own, or another row's.
DTYPES = ("--mu-dtype", "--accumulator-dtype")
ELSEWHERE = {
    "--shard-optimizer-state": "test_shard_optimizer_state_leaves_each_device_its_part",
    "--compilation-cache": "test_compilation_cache_says_where_programs_are_kept",
    "--image-size": "--dataset",
    "--switch-eps": "test_switch_eps_says_when_swats_switches",
    **dict.fromkeys(DTYPES, "test_a_dtype_is_that_of_the_optimizers_state"),
}


# Rows that take long. Their options have another row, or quick tests elsewhere.
SLOW = {
    *("--schedule constant", "--warmup 0.5 --schedule constant", "--batch-size 100", "--keep 3"),
    *("--activation tanh", "--activation sigmoid", "--follow-links", "--optimizer sgd"),
    *("--profile", "--json", "--override", "--resume", "--tensorboard", "--widths 5,4"),
    *("--on-nonfinite save", "--patience 3", "--init torch", "--shift 2"),
    *("--learning-rate 0.02", "--switch-at 0.25 --optimizer adam-to-sgd", "--epochs 3"),
    *("--watch", "--quiet", "--out there"),
}
SLOW_CHECKS = {drops_features_in_training_only, trains_with_batch_statistics}
QUICK = [e for e in EFFECTS if e.options not in SLOW and e.check not in SLOW_CHECKS]


@pytest.mark.parametrize(
    "effect", slow_but(QUICK, EFFECTS, lambda e: f"{e.options} {e.check.__name__}")
)
def test_an_option_has_its_effect(effect, ran, digits, monkeypatch, tmp_path, capsys):
    effect.check(Tools(ran, digits, monkeypatch, tmp_path, capsys), effect.options)


def test_every_option_of_the_command_has_a_row(capsys):
    with pytest.raises(SystemExit):
        train.main(["--help"])
    options = set(re.findall(r"^\s+(--[a-z0-9-]+)", capsys.readouterr().out, re.MULTILINE))
    rows = {effect.options.split()[0] for effect in EFFECTS} | ELSEWHERE.keys()
    hyper = {
        "--" + name.replace("_", "-") for setting in HYPERPARAMETERS for name in setting.arguments
    }
    assert options == rows | hyper


# --- hyperparameters


class Setting(NamedTuple):
    """An optimizer with all these arguments, none of them its default."""

    optimizer: str
    oracle: Callable[..., optax.GradientTransformation]
    learning_rate: float
    arguments: dict[str, Any]

    @property
    def options(self) -> str:
        """The arguments as options."""
        words = []
        for name, value in self.arguments.items():
            name = name.replace("_", "-")
            if isinstance(value, bool):
                words.append(f"--{name}" if value else f"--no-{name}")
            else:
                words.append(f"--{name} {value}")
        return " ".join(
            [f"--optimizer {self.optimizer} --learning-rate {self.learning_rate}", *words]
        )

    def expected(self, digits, without=None):
        """The rows of a plain loop, with one of the arguments left out."""
        arguments = {name: value for name, value in self.arguments.items() if name != without}
        return plain_training.train(
            digits, lambda rate: self.oracle(rate, **arguments), learning_rate=self.learning_rate
        )


def adagrad(rate, eps_in_sqrt=True, **arguments):
    return (optax.adagrad if eps_in_sqrt else plain_training.adagrad_outside)(rate, **arguments)


def adam_to_sgd(rate, carry="momentum", sgd_learning_rate=0.05, **arguments):
    """As the command has it by default: it switches after 0.7 of the steps."""
    if carry == "swats":
        sgd_learning_rate = 0.0
    return plain_training.adam_then_sgd(
        rate, one_cycle(sgd_learning_rate, STEPS), round(0.7 * STEPS), carry, **arguments
    )


MOMENTS = {"b1": 0.5, "b2": 0.9, "eps": 0.01, "eps_root": 1e-3}
HYPERPARAMETERS = [
    Setting(
        "sgd",
        optax.sgd,
        0.1,
        {"momentum": 0.8, "nesterov": True},
    ),
    Setting(
        "momentum",
        plain_training.moving_average,
        0.3,
        {"beta": 0.5},
    ),
    Setting(
        "adagrad",
        adagrad,
        0.05,
        {"initial_accumulator_value": 0.01, "eps": 0.05, "eps_in_sqrt": False},
    ),
    Setting(
        "rmsprop",
        optax.rmsprop,
        0.003,
        {
            "decay": 0.5,
            "eps": 0.003,
            "initial_scale": 0.01,
            "eps_in_sqrt": False,
            "centered": True,
            "momentum": 0.5,
            "nesterov": True,
            "bias_correction": True,
        },
    ),
    Setting("adam", optax.adam, 0.02, MOMENTS | {"nesterov": True}),
    Setting("nadam", optax.nadam, 0.02, MOMENTS | {"nesterov": False}),
    Setting(
        "amsgrad",
        optax.amsgrad,
        0.02,
        MOMENTS | {"bias_correction_mu": False, "bias_correction_nu": False},
    ),
    Setting("adamw", optax.adamw, 0.02, MOMENTS | {"nesterov": True, "weight_decay": 0.5}),
    Setting("lion", optax.lion, 0.003, {"b1": 0.5, "b2": 0.6, "weight_decay": 5.0}),
    Setting(
        "adam-to-sgd",
        adam_to_sgd,
        0.02,
        MOMENTS
        | {
            "carry": "plain",
            "sgd_learning_rate": 0.2,
            "momentum": 0.8,
        },
    ),
    Setting("adam-to-sgd", adam_to_sgd, 0.02, {"carry": "swats", "b1": 0.8}),
]


# Flags, an ε and a decay among the quick tests; the others reach the optimizer by the same way.
@pytest.mark.parametrize(
    "setting",
    slow_but(
        [s for s in HYPERPARAMETERS if s.optimizer in ("adagrad", "adamw")],
        HYPERPARAMETERS,
        lambda s: s.options,
    ),
)
def test_each_hyperparameter_reaches_the_optimizer(setting, ran, digits):
    without = [setting.expected(digits, name) for name in setting.arguments]
    assert_follows(ran(setting.options).rows, setting.expected(digits), without)


NUMBERS = 785 * 8 + 9 * 10  # of the base run's network


@pytest.mark.parametrize(
    ("options", "bytes_a_number"),
    [
        ("--optimizer adam --mu-dtype bfloat16", 2 + 4),
        *(
            pytest.param(*row, marks=pytest.mark.slow)
            for row in [
                ("--optimizer sgd --momentum 0.9 --accumulator-dtype bfloat16", 2),
                ("--optimizer momentum --accumulator-dtype bfloat16", 2),
                ("--optimizer adamw --mu-dtype bfloat16", 2 + 4),
                ("--optimizer nadam --mu-dtype bfloat16", 2 + 4),
                ("--optimizer amsgrad --mu-dtype bfloat16", 2 + 4 + 4),
                ("--optimizer lion --mu-dtype bfloat16", 2),
                (
                    "--optimizer adam-to-sgd --mu-dtype bfloat16 --accumulator-dtype float16",
                    2 + 4 + 2,
                ),
            ]
        ),
    ],
)
def test_a_dtype_is_that_of_the_optimizers_state(ran, options, bytes_a_number):
    """The state's size shows the dtype; the losses are nearly those in float32."""
    result = ran(f"{options} --epochs 1")
    size = result.described["device"]["optimizer_state"]
    assert size == pytest.approx(bytes_a_number * NUMBERS, abs=40)  # and a few counts
    whole = options.split(" --mu")[0].split(" --acc")[0]
    assert losses(result.rows) == pytest.approx(losses(ran(f"{whole} --epochs 1").rows), abs=0.02)


def test_switch_eps_says_when_swats_switches(ran):
    options = "--optimizer adam-to-sgd --switch-at auto --switch-eps"
    at = [[row["switched_at"] for row in ran(f"{options} {eps}").rows] for eps in (1e9, 0)]
    assert at == [[2, 2], [None, None]]  # as soon as the warm-up is over, and never


def test_every_hyperparameter_of_every_optimizer_has_a_row():
    by_the_run = {"learning_rate", "mask", "switch_step", "earliest_switch"}
    assert {setting.optimizer for setting in HYPERPARAMETERS} == set(OPTIMIZERS)
    for name in OPTIMIZERS:
        factory = getattr(jaxopt_notes, name.replace("-", "_"))
        arguments = set(inspect.signature(factory).parameters) - by_the_run
        rows = {a for s in HYPERPARAMETERS if s.optimizer == name for a in s.arguments}
        assert arguments - {"switch_eps", "mu_dtype", "accumulator_dtype"} == rows
