"""What guards a run: steps that are not finite, clipping, averaging, early ends, failing writes."""

import errno
import json
import os
import re
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxopt_notes import adam
from jaxopt_notes.inference.trained import load_trained
from jaxopt_notes.models import pure
from jaxopt_notes.runs import checkpoint, recorder
from jaxopt_notes.training import loop
from jaxopt_notes.training.loop import DivergedError, compile_stretch, run_epoch
from jaxopt_notes.training.progress import Progress
from jaxopt_notes.training.state import create
from jaxopt_notes.training.step import Batch, make_train_step, normalization_of
from tests.run_files import rows
from tests.slow_cases import slow_but

pytestmark = pytest.mark.usefixtures("no_pictures")

BATCH, BAD = 32, 5  # the sixth batch of the epoch is bad


class Fragile(nnx.Module):
    """Its loss, or only its gradient, is NaN for a batch with an image that has a white corner."""

    def __init__(self, rngs, only_gradient):
        self.out = nnx.Linear(784, 10, rngs=rngs)
        self.only_gradient = only_gradient

    def __call__(self, x, *, rngs=None):
        bad = (x[:, 0, 0, 0] > 0).any()
        logits = self.out(x.reshape(x.shape[0], -1))
        if self.only_gradient:  # √(0·w) has the derivative ∞·0
            return logits + 0.0 * jnp.sqrt(jnp.where(bad, 0.0, 1.0) * self.out.bias[0] ** 2 + ~bad)
        return jnp.where(bad, jnp.nan, logits)


@pytest.fixture(params=[False, True], ids=["loss", "gradient"])
def fragile(request, digits):
    """(step, state, data, order) with the bad image in the sixth of eight batches."""
    images = digits.train_images[: 8 * BATCH].copy()
    images[:, 0, 0, 0] = 0
    images[BAD * BATCH + 3, 0, 0, 0] = 255
    model, optimizer = pure(Fragile(nnx.Rngs(0), request.param)), adam(1e-3)
    step = make_train_step(model, optimizer, normalization_of(images), check_gradients=True)
    state = create(model, optimizer, jax.random.key(0))
    data = Batch(jnp.asarray(images), jnp.asarray(digits.train_labels[: 8 * BATCH]))
    return step, state, data, np.arange(8 * BATCH).reshape(8, BATCH)


def by_hand(fragile, taken):
    step, state, data, order = fragile
    jitted = jax.jit(step)
    for i in taken:
        state, _ = jitted(state, Batch(data.images[order[i]], data.labels[order[i]]))
    return state


def assert_close(ours, expected):
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("on_device", slow_but([True], [True, False]))
def test_skip_leaves_the_bad_step_out_and_goes_on(fragile, monkeypatch, on_device):
    step, state, data, order = fragile
    expected = by_hand(fragile, [*range(BAD), *range(BAD + 1, 8)])
    if not on_device:
        monkeypatch.setattr(loop, "_convolves", lambda lowered: True)
    stretch = compile_stretch(step, state, data, jnp.asarray(order), "skip")
    *_, progress = run_epoch(stretch, Progress(state), data, jnp.asarray(order), [4, 8], "skip")
    assert_close(progress.state.params, expected.params)
    assert_close(progress.state.opt_state, expected.opt_state)
    assert int(progress.sums.failed) == 1
    assert progress.result.examples == 7 * BATCH
    assert progress.step == 8  # as the data goes on, and what is drawn from the key


@pytest.mark.slow
@pytest.mark.parametrize("on_device", [True, False])
def test_save_keeps_what_the_steps_before_gave(fragile, monkeypatch, on_device):
    step, state, data, order = fragile
    expected = by_hand(fragile, range(BAD))
    if not on_device:
        monkeypatch.setattr(loop, "_convolves", lambda lowered: True)
    stretch = compile_stretch(step, state, data, jnp.asarray(order), "save")
    running = run_epoch(stretch, Progress(state), data, jnp.asarray(order), [4, 8], "save")
    assert next(running).step_in_epoch == 4
    last = next(running)
    assert (last.step_in_epoch, last.step, last.result.examples) == (BAD, BAD, BAD * BATCH)
    assert_close(last.state.params, expected.params)
    with pytest.raises(DivergedError) as caught:
        next(running)
    assert caught.value.step == BAD + 1


def test_save_leaves_a_checkpoint_of_the_step_before(small, capsys):
    """The second loss is not finite."""
    args = "--optimizer sgd --learning-rate 1e30 --schedule constant --checkpoint-every 99"
    assert small(*args.split(), "--on-nonfinite", "save") == 2
    assert "at step 2;" in capsys.readouterr().err
    weights = load_trained("run", "last").weights
    assert weights.step == 1
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(weights.params))


def test_the_average_is_the_written_recursion(digits):
    model, optimizer = pure(Fragile(nnx.Rngs(0), False)), adam(1e-2)
    step = jax.jit(
        make_train_step(model, optimizer, normalization_of(digits.train_images), 0, ema_decay=0.4)
    )
    state = create(model, optimizer, jax.random.key(0), averaged=True)
    average = np.asarray(state.params["out"]["kernel"], np.float64)
    batch = Batch(jnp.asarray(digits.train_images[:64]), jnp.asarray(digits.train_labels[:64]))
    for t in range(1, 11):
        state, _ = step(state, batch)
        beta = min(0.4, t / (t + 9))  # 0.4 from t = 6 on
        average = beta * average + (1 - beta) * np.asarray(state.params["out"]["kernel"])
        np.testing.assert_allclose(state.ema["out"]["kernel"], average, rtol=1e-5, atol=1e-7)


@pytest.mark.slow
def test_the_average_is_evaluated_beside_the_parameters_and_can_be_had(small):
    assert small("--ema", "0.5", "--quiet") == 0
    (row,) = rows(Path("run"))
    assert 0 < row["ema_test_accuracy"] <= 1
    assert row["ema_test_loss"] != row["test_loss"]
    last, average = (load_trained("run", which).weights.params for which in ("last", "ema"))
    assert not np.array_equal(*(jax.tree.leaves(tree)[0] for tree in (last, average)))


def test_clipping_is_by_the_global_norm():
    from jaxopt_notes.config.settings import resolve
    from jaxopt_notes.training.setup import build_optimizer

    asked = {"optimizer": "sgd", "learning_rate": 1.0, "schedule": "constant", "clip_norm": 2.0}
    optimizer = build_optimizer(resolve(asked, 1), 10)
    grads = {"a": jnp.array([6.0, 0.0]), "b": jnp.array([8.0])}
    updates, _ = optimizer.update(grads, optimizer.init(grads), grads)
    np.testing.assert_allclose(updates["a"], [-1.2, 0])
    assert float(optax.tree.norm(updates)) == pytest.approx(2.0)


def test_patience_ends_a_run_that_gets_no_better(small, capsys):
    args = "--epochs 50 --patience 2 --learning-rate 1e-9 --schedule constant"
    assert small(*args.split()) == 0
    assert "stopped early: no better test accuracy in 2 epochs" in capsys.readouterr().err
    accuracies = [row["test_accuracy"] for row in rows(Path("run"))]
    assert 3 <= len(accuracies) < 50
    assert accuracies.index(max(accuracies)) == len(accuracies) - 3


def test_without_tensorboardx_the_extra_is_named(small, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    assert small("--tensorboard") == 2
    assert "jaxopt-notes[tensorboard]" in capsys.readouterr().err
    assert not Path("run/config.json").exists()


def test_a_profile_is_of_the_steps_from_10_to_20(small, monkeypatch):
    events, add = [], recorder.Recorder.add

    def noted(self, progress, row):  # called at each step, after the profiler
        events.append(progress.step)
        add(self, progress, row)

    monkeypatch.setattr(recorder.Recorder, "add", noted)
    for name in ("start_trace", "stop_trace"):
        monkeypatch.setattr(jax.profiler, name, lambda *_, name=name, **__: events.append(name))
    assert small("--profile", "--quiet", "--epochs", "3", "--checkpoint-every", "off") == 0
    traced = {events[i - 1]: events[i] for i in range(1, len(events)) if type(events[i]) is str}
    assert traced == {9: "start_trace", 19: "stop_trace"}


@pytest.mark.slow
def test_a_profile_is_a_trace_that_perfetto_opens(small):
    import gzip

    assert small("--profile", "--quiet", "--epochs", "4") == 0
    (trace,) = Path("run/profile").rglob("perfetto_trace.json.gz")
    events = json.loads(gzip.decompress(trace.read_bytes()))["traceEvents"]
    assert len(events) > 100


@pytest.mark.slow
def test_a_run_too_short_for_the_profile_has_what_there_is(small):
    assert small("--profile", "--quiet", "--epochs", "2") == 0  # 16 steps
    assert list(Path("run/profile").rglob("perfetto_trace.json.gz"))


def test_a_checkpoint_that_cannot_be_written_is_told_and_the_run_goes_on(
    small, capsys, monkeypatch
):
    save, calls = checkpoint.save, []

    def full(*args):
        calls.append(args)
        if len(calls) == 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(*args)

    monkeypatch.setattr(checkpoint, "save", full)
    assert small("--epochs", "2") == 0
    assert "a checkpoint could not be written (No space left" in capsys.readouterr().err
    assert load_trained("run", "last").weights.step == 16


@pytest.mark.slow
def test_a_full_disk_costs_the_checkpoints_but_not_the_rows(small, capsys):
    """Files of more than 200 kB cannot be written, as on a disk with no more room."""
    resource = pytest.importorskip("resource", reason="this system has no limits of a process")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200 * 1024, hard))
    try:
        assert small("--model", "mlp", "--epochs", "2", "--compilation-cache", "off") == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    error = capsys.readouterr().err
    assert re.search(r"^error: run: .*checkpoint could not be written", error, re.MULTILINE)
    assert len(rows(Path("run"))) == 2
    assert small("--resume", "run", "--epochs", "3") == 0
    assert len(rows(Path("run"))) == 3


def test_rows_that_cannot_be_written_are_told_and_end_in_exit_code_1(small, capsys, monkeypatch):
    def gone(*_):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    monkeypatch.setattr(recorder.files, "write_rows", gone)
    assert small() == 1
    error = capsys.readouterr().err
    assert "error: run: metrics.jsonl could not be written (No such file" in error


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["--ema", "1"], "--ema 1"),
        (["--clip-norm", "0"], "--clip-norm 0"),
        (["--patience", "0"], "--patience 0"),
        (["--keep", "0"], "--keep 0"),
        (["--checkpoint-every", "5x"], "--checkpoint-every 5x"),
        (["--checkpoint-every", "0"], "--checkpoint-every 0"),
        (["--on-nonfinite", "sav"], "did you mean save"),
        (["--override"], "--resume"),
    ],
)
def test_mistakes_in_the_guards_are_one_line(small, capsys, args, word):
    assert small(*args) == 2
    error = capsys.readouterr().err
    assert word in error
    assert error.count("\n") == 1
    assert not Path("run").exists()
