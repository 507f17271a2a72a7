"""The recipe of `time_to_accuracy`: one for all contestants, and how its accuracy is judged."""

import json
import statistics

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy import stats

from benchmarks import recipe_accuracy
from benchmarks.contestants import mnist_flax, mnist_ours
from benchmarks.contestants.recipe import EARLIER, RECIPE, changed, learning_rate, order, written
from jaxopt_notes.data import Dataset
from jaxopt_notes.errors import InputError
from jaxopt_notes.extras import installed
from jaxopt_notes.models import PureModel
from jaxopt_notes.training.schedules import schedule
from jaxopt_notes.training.state import create
from jaxopt_notes.training.step import Batch, Normalization, make_train_step
from tests.benchmarks.some_machine import MACHINE


def test_the_recipe_sees_no_more_images_than_the_record_allows():
    assert RECIPE.images <= 32_000
    assert RECIPE.steps * RECIPE.batch <= RECIPE.images


@pytest.mark.parametrize("recipe", [RECIPE, EARLIER])
def test_the_learning_rate_is_one_cycle(recipe):
    recipe = recipe._replace(images=100 * recipe.batch)
    rates = [learning_rate(recipe, step) for step in range(100)]
    assert rates[0] == pytest.approx(recipe.peak / 25)
    assert max(rates) == rates[round(100 * recipe.warmup)] == pytest.approx(recipe.peak)
    assert rates[99] < recipe.peak / 50
    rising = round(100 * recipe.warmup)
    if recipe.linear:
        points, rates_there = [0, rising, 100], [recipe.peak / k for k in (25, 1, 1e4)]
        expected = np.interp(range(100), points, rates_there)
    else:
        ours = schedule("one-cycle", recipe.peak, recipe.steps, recipe.warmup)
        expected = jax.jit(ours)(np.arange(100))
    np.testing.assert_allclose(rates, expected, rtol=1e-4)


def test_a_run_sees_so_many_images_whole_epochs_first():
    steps = order(RECIPE._replace(images=25, batch=4), seed=3, size=10)
    assert steps.shape == (6, 4)
    first, second = np.sort(steps[:2].ravel()), np.sort(steps[2:4].ravel())
    assert len(set(first)) == len(set(second)) == 8  # of ten, in two batches of four
    assert not np.array_equal(steps[:2], steps[2:4])


def test_a_recipe_is_written_as_it_is_read():
    tried = changed(EARLIER, written(RECIPE))
    assert tried == RECIPE
    assert changed(RECIPE, ["warmup=0.3", "zero_logits=false"]).zero_logits is False


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        ("bach=32", "did you mean 'batch'?"),
        ("peak", "pass a number from 1e-12, such as peak=0.02"),
        ("batch=0", "pass a whole number from 1"),
        ("batch=1.5", "pass a whole number from 1"),
        ("smoothing=1", "pass a number from 0 and below 1"),
        ("nesterov=yes", "pass nesterov=true or nesterov=false"),
        ("images=10", "is more than the 10 images of the run"),
    ],
)
def test_a_wrong_change_names_the_remedy(change, remedy):
    with pytest.raises(InputError, match=r"^--try ") as error:
        changed(RECIPE, [change])
    assert remedy in str(error.value)


class Network(nnx.Module):
    """The smallest network with a convolution, of one pixel, that the contestants' steps train."""

    def __init__(self, conv, kernel):
        self.conv, self.kernel = nnx.Param(jnp.array(conv)), nnx.Param(jnp.array(kernel))

    def __call__(self, x):
        return x.reshape(len(x), -1) @ self.conv[...][0, 0] @ self.kernel[...]


@pytest.mark.parametrize("recipe", [RECIPE, EARLIER])
def test_the_contestants_step_alike(recipe):
    """Loss with smoothing, learning rates and Adam of each contestant's own step, to 1e-6."""
    torch = pytest.importorskip("torch", reason="torch is an extra")
    from benchmarks.contestants import mnist_torch

    recipe = recipe._replace(images=8 * 12, batch=8)
    random = np.random.default_rng(0)
    pixels = random.integers(0, 3, (12, 8, 1, 1, 6), dtype=np.uint8)
    labels = random.integers(0, 10, (12, 8), dtype=np.int32)
    conv = random.normal(size=(1, 1, 6, 4)).astype(np.float32)
    kernel = random.normal(size=(4, 10)).astype(np.float32)

    def apply(params, batch_stats, images, key=None, train=False):
        x = images.reshape(len(images), -1)
        return x @ params["conv"][0, 0] @ params["kernel"], batch_stats

    model = PureModel(apply, {"conv": conv, "kernel": kernel}, {})
    optimizer = mnist_ours.optimizer_of(recipe)
    ours = create(model, optimizer, jax.random.key(0))
    as_they_are = Normalization((0.0,), (1 / 255,))
    step = make_train_step(model, optimizer, as_they_are, label_smoothing=recipe.smoothing)
    step = jax.jit(step)

    flax, metrics = Network(conv, kernel), mnist_flax.new_metrics()
    flax_optimizer = nnx.Optimizer(flax, mnist_flax.optimizer_of(recipe), wrt=nnx.Param)

    network = torch.nn.Sequential(
        torch.nn.Conv2d(6, 4, 1, bias=False),
        torch.nn.Flatten(),
        torch.nn.Linear(4, 10, bias=False),
    )
    weights = list(network.parameters())
    with torch.no_grad():
        weights[0][:, :, 0, 0] = torch.tensor(conv[0, 0].T)
        weights[1][...] = torch.tensor(kernel.T)
    torch_optimizer = mnist_torch.optimizer_of(recipe, network.parameters())
    torch_step = mnist_torch.make_step(
        network, torch_optimizer, compiled=False, smoothing=recipe.smoothing
    )
    for k, (x, y) in enumerate(zip(pixels, labels)):
        ours, _ = step(ours, Batch(x, y))
        batch = {"image": x.astype(np.float32), "label": y}
        mnist_flax.train_step(flax, flax_optimizer, metrics, batch, smoothing=recipe.smoothing)
        mnist_torch.set_learning_rate(torch_optimizer, learning_rate(recipe, k))
        torch_step(torch.tensor(x.reshape(8, 6, 1, 1)).float(), torch.tensor(y).long())
    there = [w.detach().numpy().T for w in weights]  # a convolution's axes all the other way round
    for name, before, torch_has in zip(("conv", "kernel"), (conv, kernel), there):
        reached = np.asarray(ours.params[name])
        assert np.abs(reached - before).max() > 1e-3
        flax_has = np.asarray(getattr(flax, name)[...])
        np.testing.assert_allclose(flax_has, reached, rtol=0, atol=1e-6)
        np.testing.assert_allclose(torch_has, reached, rtol=0, atol=1e-6)


def test_dense_weights_learn_at_their_own_learning_rate():
    """Adam's first step is the learning rate itself, whatever the gradient."""
    optimizer = mnist_ours.optimizer_of(RECIPE._replace(nesterov=False, dense_rate=0.5))
    shapes = {"conv": (3, 3, 1, 2), "bias": (2,), "dense": (4, 2)}
    params = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    updates, _ = jax.jit(lambda p: optimizer.update(p, optimizer.init(p), p))(params)
    first = learning_rate(RECIPE, 0)
    for name, times in (("conv", 1), ("bias", 1), ("dense", 0.5)):
        np.testing.assert_allclose(updates[name], -times * first, rtol=1e-5)


def test_the_bound_is_scipys():
    values = [0.99, 0.9911, 0.9895, 0.9907, 0.992]
    mean, error = statistics.mean(values), stats.sem(values)
    low, _ = stats.t.interval(0.90, len(values) - 1, mean, error)  # 5 % on either side
    assert recipe_accuracy.lower_bound(values) == pytest.approx(low, abs=1e-12)


def numbered(n, m):
    """A data set whose labels number its images."""
    images = np.zeros((n, 4, 4, 1), np.uint8)
    labels = np.arange(n, dtype=np.int32)
    return Dataset("numbered", images, labels, images[:m], -labels[:m], ("a",) * n)


@pytest.fixture
def pretended(monkeypatch):
    """The data sets that the trainings receive; no training takes place."""
    sets = []

    def accuracies(recipe, data, seeds):
        sets.append(data)
        yield from (0.99 + 0.001 * (seed + 1) - 0.02 * (recipe is EARLIER) for seed in seeds)

    monkeypatch.setattr("benchmarks.contestants.mnist_ours.accuracies", accuracies)
    monkeypatch.setattr("benchmarks.machine.facts", lambda: MACHINE)
    return sets


def test_validation_images_are_not_trained_on():
    held = recipe_accuracy.held_out(numbered(60, 10))
    assert held.train_labels.tolist() == list(range(50))
    assert held.test_labels.tolist() == list(range(50, 60))


def test_the_bound_on_the_validation_set_decides(pretended, tmp_path, capsys):
    recipes = {"fixed": RECIPE, "earlier": EARLIER}
    recipe_accuracy.validate(recipes, numbered(60, 10), 0.99, 4, tmp_path)
    printed = capsys.readouterr().out
    assert "99.250%" in printed
    assert "99.0%: met" in printed
    assert "99.0%: missed" in printed
    value = json.loads((tmp_path / "some-cpu-2-cores" / "recipe_accuracy.json").read_text())
    rows = [(row["name"], row["measured_on"], row["meets_target"]) for row in value["recipes"]]
    assert rows == [
        ("fixed", "validation set", True),
        ("fixed", "test set", None),
        ("earlier", "validation set", False),
        ("earlier", "test set", None),
    ]
    assert len(value["recipes"][0]["accuracies"]) == 4
    assert (tmp_path / "some-cpu-2-cores" / "recipe_accuracy.png").exists()


def test_a_recipe_that_is_tried_never_meets_the_test_set(pretended, capsys):
    recipe_accuracy.validate({"tried": RECIPE}, numbered(60, 10), 0.99, 2, None)
    assert [data.test_labels.tolist() for data in pretended] == [list(range(50, 60))]
    assert "test set |" not in capsys.readouterr().out


@pytest.mark.slow
def test_a_small_run_of_each_contestant_learns():
    from benchmarks.contestants.recipe import Task
    from jaxopt_notes.data import load

    recipe = RECIPE._replace(images=1_600, batch=32)
    data = load("mnist-12k")
    task = Task(data, recipe, 1, False, "off")
    first, second, *others = mnist_ours.accuracies(recipe, data, [1, 2])
    assert not others
    assert first != second
    assert next(mnist_ours.accuracies(recipe, data, [2])) == second
    reached = [first, *mnist_flax.train(task)]
    if installed("torch"):
        import torch

        from benchmarks.contestants import mnist_torch

        torch.set_num_threads(1)  # torch's threads and XLA's disturb each other in one process
        reached += mnist_torch.train(task)
    assert min(reached) > 0.85
    assert max(reached) - min(reached) < 0.05
    for zero in (True, False):
        make = recipe._replace(zero_logits=zero)
        kernel = mnist_ours.network(make, nnx.Rngs(0)).logits.kernel[...]
        flax = mnist_flax.CNN(rngs=nnx.Rngs(0), zero_logits=zero).linear2.kernel[...]
        assert bool((kernel == 0).all()) == bool((flax == 0).all()) == zero
