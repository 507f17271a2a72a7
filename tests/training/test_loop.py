"""The driver: the device's loop gives the numbers of Python's loop, and stops at the right step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxopt_notes import adam, sgd
from jaxopt_notes.training import loop
from jaxopt_notes.training.loop import (
    DivergedError,
    begin_evaluation,
    compile_stretch,
    pad,
    run_epoch,
    zero_sums,
)
from jaxopt_notes.training.progress import Progress
from jaxopt_notes.training.state import create
from jaxopt_notes.training.step import Batch, make_eval_step, make_train_step, normalization_of
from tests.training.small_networks import Dense, drawn


class Convolution(nnx.Module):
    """Python loops over the steps on a CPU, as it does for the CNN."""

    def __init__(self, rngs):
        self.conv = nnx.Conv(1, 2, (3, 3), strides=4, rngs=rngs)
        self.out = nnx.Linear(98, 10, rngs=rngs)

    def __call__(self, x, *, rngs=None):
        return self.out(nnx.relu(self.conv(x)).reshape(x.shape[0], -1))


@pytest.fixture(scope="module")
def parts(digits):
    def make(network, optimizer):
        model = drawn(network)
        normalize = normalization_of(digits.train_images)
        state = create(model, optimizer, jax.random.key(0))
        data = Batch(*jax.device_put((digits.train_images, digits.train_labels)))
        return model, normalize, state, data, make_train_step(model, optimizer, normalize)

    return make


def steps_by_hand(step, state, data, order):
    jitted, losses = jax.jit(step), []
    images, labels = map(np.asarray, data)
    for rows in order:
        state, metrics = jitted(state, Batch(images[rows], labels[rows]))
        losses.append(float(metrics.loss))
    return state, losses


@pytest.mark.parametrize("network", [Dense, Convolution])
def test_a_stretch_takes_the_steps_of_a_plain_loop(parts, network):
    _, _, state, data, step = parts(network, adam(1e-3))
    order = np.arange(192, dtype=np.int32).reshape(6, 32)[:, ::-1]
    expected, losses = steps_by_hand(step, state, data, order)
    on_device = jax.device_put(order)
    stretch = compile_stretch(step, state, data, on_device)
    stretches = list(run_epoch(stretch, Progress(state), data, on_device, stops=[4, 6]))
    assert [(p.step_in_epoch, p.result.examples) for p in stretches] == [(4, 128), (6, 192)]
    last = stretches[-1]
    assert last.step == 6
    np.testing.assert_allclose(last.result.loss, sum(losses) / 192, rtol=1e-6)
    for leaf, expected_leaf in zip(
        jax.tree.leaves(last.state.params), jax.tree.leaves(expected.params)
    ):
        np.testing.assert_allclose(leaf, expected_leaf, rtol=1e-4, atol=1e-6)


def test_stretches_of_any_length_give_the_same_bits(parts):
    order = jax.device_put(np.arange(512, dtype=np.int32).reshape(16, 32))
    model, _, state, data, step = parts(Dense, adam(1e-3))
    stretch = compile_stretch(step, state, data, order)
    finals = []
    for length in (1, 5, 16):
        state = create(model, adam(1e-3), jax.random.key(0))
        stops = [*range(length, 16, length), 16]
        *_, last = run_epoch(stretch, Progress(state), data, order, stops)
        finals.append(jax.tree.map(np.asarray, last.state.params))
    for other in finals[1:]:
        jax.tree.map(np.testing.assert_array_equal, finals[0], other)


@pytest.fixture(scope="module")
def exploding(parts):
    """(a new state, data, step, losses by hand) of a run whose rate explodes."""
    optimizer = sgd(lambda k: jnp.where(k == 4, jnp.inf, 1e-3))
    model, _, state, data, step = parts(Dense, optimizer)
    _, losses = steps_by_hand(step, state, data, np.arange(512).reshape(16, 32))
    return lambda: (create(model, optimizer, jax.random.key(0)), data, step, losses)


@pytest.mark.parametrize("on_device", [True, False])
def test_divergence_stops_the_run_and_names_the_step(exploding, monkeypatch, on_device):
    """A rate that explodes: the first step whose loss is not finite is the one that is named."""
    state, data, step, losses = exploding()
    first_bad = next(i for i, loss in enumerate(losses) if not np.isfinite(loss)) + 1
    assert first_bad == 6
    if not on_device:
        monkeypatch.setattr(loop, "_convolves", lambda lowered: True)
    order = jax.device_put(np.arange(512, dtype=np.int32).reshape(16, 32))
    stretch = compile_stretch(step, state, data, order)
    with pytest.raises(DivergedError) as caught:
        list(run_epoch(stretch, Progress(state), data, order, stops=[16]))
    assert caught.value.step == first_bad


def test_evaluation_counts_each_image_once_whatever_the_batch(parts, digits):
    model, normalize, state, _, _ = parts(Dense, adam(1e-3))
    eval_step = make_eval_step(model, normalize)
    # So that the blank images of the padding, whose labels are 0, are put into class 0.
    bias = np.array([2] + 9 * [0], np.float32)
    params = {"out": state.params["out"] | {"bias": bias}}
    logits = jax.jit(lambda x: model.apply(params, {}, normalize(x))[0])(digits.test_images)
    logits = np.asarray(logits, np.float64)
    picked = logits[np.arange(300), digits.test_labels]
    loss = (np.log(np.exp(logits).sum(1)) - picked).mean()
    accuracy = (logits.argmax(1) == digits.test_labels).mean()
    for batch_size in (1000, 300, 128, 7):
        test_set = pad(digits.test_images, digits.test_labels, batch_size)
        result = begin_evaluation(eval_step, state, test_set)(params, state.batch_stats)
        assert result.examples == 300
        assert result.accuracy == pytest.approx(accuracy)
        assert result.loss == pytest.approx(loss, rel=1e-5)


def test_metrics_start_at_nothing():
    assert [float(x) for x in zero_sums()] == [0, 0, 0, 0]
