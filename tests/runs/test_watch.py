"""`train --watch`: it changes no number, survives a resume exactly, and is drawn."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxopt_notes
from jaxopt_notes import compare, train
from jaxopt_notes.config.optimizers import OPTIMIZERS
from jaxopt_notes.data.tfds import tfrecord
from jaxopt_notes.microscope.watching import watch
from jaxopt_notes.runs import watch_picture
from jaxopt_notes.training import watching
from tests.run_files import rows, without_seconds, without_watch

GROUPS = ("hidden/0/bias", "hidden/0/kernel", "logits/bias", "logits/kernel")


@pytest.mark.usefixtures("compiled_by_default")
@pytest.mark.parametrize(
    "options",
    [
        "",
        # Its gradients have another shape, and other bits under the quick tests' flags of XLA.
        pytest.param("--norm batch --widths 64 --shift 2", marks=pytest.mark.slow),
        pytest.param(
            "--optimizer adam-to-sgd --clip-norm 0.5 --ema 0.9 --on-nonfinite skip",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_every_number_is_the_same_without_it(ran, options):
    """Weights too: the rows of later epochs depend on every bit of them."""
    watched, plain = ran(f"{options} --watch"), ran(options)
    assert without_watch(watched.rows) == without_seconds(plain.rows)
    assert watched.rows[-1]["watch"]["logits/kernel/update_ratio"] > 0


@pytest.mark.slow
@pytest.mark.usefixtures("compiled_by_default")
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_with_each_optimizer_every_number_is_the_same(ran, optimizer):
    options = f"--optimizer {optimizer} --clip-norm 0.5"
    watched = ran(f"{options} --watch")
    assert without_watch(watched.rows) == without_seconds(ran(options).rows)
    assert watched.rows[-1]["watch"]["logits/kernel/update_ratio"] > 0


LONG = "--epochs 4 --schedule constant --watch"  # 16 steps, of which the 1st and 11th are measured


@pytest.mark.slow
def test_a_resumed_run_has_the_readings_of_an_unbroken_one(ran):
    """Readings anew would be of the step after the checkpoint."""
    begun = ran(f"{LONG} --epochs 1 --checkpoint-every 3", anew=True)
    assert train.main(["--resume", str(begun.folder), "--epochs", "4", "--quiet"]) == 0
    unbroken = ran(LONG).rows
    assert without_seconds(rows(begun.folder)) == without_seconds(unbroken)
    norms = [row["watch"]["logits/bias/gradient_norm"] for row in unbroken]
    assert norms[0] == norms[1] != norms[2] == norms[3]


@pytest.mark.slow
def test_a_resumed_run_may_begin_to_watch_and_stop(ran):
    begun = ran("--epochs 1 --schedule constant --checkpoint-every 3", anew=True)
    resume = ["--resume", str(begun.folder), "--quiet"]
    for option, epochs in (("--watch", "2"), ("--no-watch", "3"), ("--watch", "4")):
        assert train.main([*resume, option, "--epochs", epochs]) == 0
    assert ["watch" in row for row in begun.rows] == [False, True, False, True]
    assert without_watch(begun.rows) == without_watch(ran(LONG).rows)


def test_readings_that_are_not_finite_are_null():
    params = {"zero": jnp.zeros(2), "one": jnp.ones(2)}
    optimizer = watch(jaxopt_notes.sgd(0.1))
    _, state = optimizer.update(params, optimizer.init(params), params)
    read = watching.reader(jax.jit)(state)["watch"]
    assert read["zero/update_ratio"] is None
    assert read["one/update_ratio"] == pytest.approx(0.1)
    assert json.loads(json.dumps(read, allow_nan=False)) == read


@pytest.mark.parametrize(
    ("make", "arguments", "expected"),
    [
        (jaxopt_notes.adam, {}, 1e-8),
        (jaxopt_notes.adam, {"eps": 1e-4}, 1e-4),
        (jaxopt_notes.adam, {"eps_root": 1e-4}, 1e-2),
        (jaxopt_notes.rmsprop, {"eps": 1e-4}, 1e-2),  # inside the root by default
        (jaxopt_notes.rmsprop, {"eps": 1e-4, "eps_in_sqrt": False}, 1e-4),
        (jaxopt_notes.sgd, {}, 0.0),
    ],
)
def test_the_second_moment_is_compared_with_the_optimizers_own_eps(make, arguments, expected):
    assert watching.root_of_eps(make, arguments) == pytest.approx(expected)


def test_tensorboard_has_each_reading(ran):
    pytest.importorskip("tensorboardX", reason="needs the extra `tensorboard`")
    from tensorboardX.proto.event_pb2 import Event

    run = ran("--watch --tensorboard --clip-norm 0.5")
    (file,) = (run.folder / "tensorboard").iterdir()
    events = [Event.FromString(record) for record in tfrecord.records(file)]
    scalars = {(e.step, v.tag): v.simple_value for e in events for v in e.summary.value}
    for row in run.rows:
        for name in ("train_loss", "train_accuracy", "test_loss", "test_accuracy"):
            assert scalars[row["step"], name] == pytest.approx(row[name], rel=1e-6)
        finite = {name: x for name, x in row["watch"].items() if x is not None}
        assert len(finite) > 20
        for name, value in finite.items():
            tag = f"watch/{name}".replace(" ", "_")  # as TensorBoard writes names
            assert scalars[row["step"], tag] == pytest.approx(value, rel=1e-6)


def test_compare_takes_a_watched_run_beside_another(ran, capsys):
    watched, plain = ran("--watch"), ran()
    capsys.readouterr()
    assert compare.main([str(watched.folder), str(plain.folder), "--json"]) == 0
    compared = json.loads(capsys.readouterr().out)
    assert [run["settings"] for run in compared["runs"]] == [{}, {}]
    assert len({run["last_test_loss"] for run in compared["runs"]}) == 1


# --- the picture


def readings(value, clipped=False, second_moment=True):
    quantities = ["update_ratio", "effective_learning_rate", "gradient_norm"]
    quantities += ["second_moment_below_eps"] if second_moment else []
    read = {f"{group}/{quantity}": value for group in GROUPS for quantity in quantities}
    return read | ({"0 clip/clipped": 0.5} if clipped else {})


@pytest.mark.parametrize(
    ("kinds", "panels"),
    [
        ({"clipped": True}, 5),
        ({}, 4),
        ({"second_moment": False}, 3),
    ],
)
def test_a_panel_a_quantity_and_a_line_a_group(kinds, panels):
    figure = pytest.importorskip("matplotlib.figure").Figure(layout="constrained")
    values = (None, 0.1, 0.3)  # None: not finite in that epoch
    history = [{"epoch": 1}]  # not watched yet
    history += [{"epoch": i, "watch": readings(x, **kinds)} for i, x in enumerate(values, 2)]
    watch_picture.draw(figure, history, "made $\\frac{$ up")
    drawn = [axes for axes in figure.axes if axes.get_lines()]
    assert len(drawn) == panels
    for axes in drawn[:3]:
        assert len(axes.get_lines()) == len(GROUPS)
        assert len({(x.get_color(), x.get_linestyle()) for x in axes.get_lines()}) == len(GROUPS)
        for line in axes.get_lines():
            np.testing.assert_array_equal(line.get_xdata(), [2, 3, 4])
            np.testing.assert_array_equal(line.get_ydata(), [np.nan, 0.1, 0.3])
    (legend,) = [*figure.legends, *(a.get_legend() for a in figure.axes if a.get_legend())]
    assert [text.get_text() for text in legend.get_texts()] == list(GROUPS)
    figure.canvas.draw()


@pytest.mark.slow
def test_the_run_lists_its_picture(small, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    assert small("--widths", "8", "--batch-size", "128", "--watch", "--json") == 0
    files = json.loads(capsys.readouterr().out.splitlines()[-1])["files"]
    assert {"mistakes.png", "watch.png"} <= set(files)
    assert (tmp_path / "run" / "watch.png").read_bytes().startswith(b"\x89PNG")
