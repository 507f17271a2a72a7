"""What the studies on MNIST share: images dealt, quasi-random trials, and sweeps over these.

A sweep trains one network for every trial (a rate, and what else is tuned) and every seed, with
the package's own step, and one compilation serves them all. A seed gives the initial parameters,
the training and validation images, their order and what dropout draws. The validation set chooses
between trials, by the metric that judges; the test images choose nothing.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import lax
from tqdm import tqdm

from jaxopt_notes.conventions import notes
from jaxopt_notes.data import epoch_order
from jaxopt_notes.models import MLP, PureModel, pure
from jaxopt_notes.studies.digits import deal
from jaxopt_notes.training.schedules import schedule
from jaxopt_notes.training.state import TrainState, create
from jaxopt_notes.training.step import (
    Batch,
    Normalization,
    make_eval_step,
    make_forward,
    make_train_step,
)

PARTS = ("train", "held", "test")

Fall = Callable[[Any], optax.Schedule]
Make = Callable[..., optax.GradientTransformation]
Watch = Callable[[jax.Array, jax.Array], Any]

# The notes' six; AdamW's λ, for which they have no default, is torch's.
SIX: dict[str, Make] = {
    "sgd": lambda fall, rate: notes.sgd(fall(rate)),
    "momentum": lambda fall, rate: notes.momentum(fall(rate)),
    "adagrad": lambda fall, rate: notes.adagrad(fall(rate)),
    "rmsprop": lambda fall, rate: notes.rmsprop(fall(rate)),
    "adam": lambda fall, rate: notes.adam(fall(rate)),
    "adamw": lambda fall, rate: notes.adamw(fall(rate), weight_decay=0.01),
}


class Plan(NamedTuple):
    """What all the trainings of a sweep have in common.

    Attributes:
      images: that train.
      widths: of the dense network's hidden layers.
      batch: images a step.
      steps: how many.
      seeds: how many.
      marks: how often, evenly spaced and last at the end, the network is evaluated.
      official: MNIST's 10,000 test images judge, where they are at hand.
    """

    images: int
    widths: tuple[int, ...]
    batch: int
    steps: int
    seeds: int
    marks: int = 1
    official: bool = False


class Runs(NamedTuple):
    """What a sweep found, as arrays (trials, seeds, …); a loss that is not finite is ∞.

    Attributes:
      batch_loss: (…, steps): each step's own loss, before it moved.
      loss: of each of PARTS, (…, marks).
      accuracy: likewise.
      right: of each test image, at the end; packed as bits (trials, seeds, images / 8).
      watched: what `watch` saw at the end, each array (trials, seeds, …).
    """

    batch_loss: np.ndarray
    loss: dict[str, np.ndarray]
    accuracy: dict[str, np.ndarray]
    right: np.ndarray
    watched: Any = ()

    def best(self, by: str = "loss") -> int:
        """The trial that is best on the validation set at the end, median over seeds.

        Args:
          by: "loss" or "accuracy": the metric that judges. Of equal accuracies the least loss.
        """
        loss, accuracy = (
            np.median(each["held"][..., -1], axis=1) for each in (self.loss, self.accuracy)
        )
        return int(loss.argmin() if by == "loss" else np.lexsort([loss, -accuracy])[0])

    def at_best(self, what: str, part: str, by: str = "loss") -> np.ndarray:
        """The "loss" or "accuracy" on a part at the end of the best trial, one a seed."""
        return getattr(self, what)[part][self.best(by), :, -1]

    def right_at_best(self, images: int, by: str = "accuracy") -> np.ndarray:
        """Whether the best trial's networks have each of the test images right: (seeds, images)."""
        return np.unpackbits(self.right[self.best(by)], axis=-1, count=images).astype(bool)

    def held_at_best(self) -> tuple[float, float]:
        """How good the best trial is on the validation set: its median accuracy and −loss."""
        best = self.best("accuracy")
        accuracy, loss = (np.median(x["held"][best, :, -1]) for x in (self.accuracy, self.loss))
        return float(accuracy), -float(loss)


def plan_of(setting: Mapping[str, Any], **other: Any) -> Plan:
    """The plan of a study's setting, or of that with some of it replaced.

    As many steps as its epochs have, rounded down to a multiple of its marks.
    """
    s = {"marks": 1, **setting, **other}
    steps = s["epochs"] * (s["images"] // s["batch"]) // s["marks"] * s["marks"]
    sizes = s["images"], tuple(s["widths"]), s["batch"], steps, s["seeds"], s["marks"]
    return Plan(*sizes, s.get("official", False))


def corput(count: int, base: int) -> np.ndarray:
    """Van der Corput's points in (0, 1): the digits of 1, 2, …, count, mirrored at the point.

    Halton's points are these, with another prime base for each coordinate. However many there
    are, they lie evenly (Halton 1960).

    >>> print(corput(5, 2), corput(3, 3).round(3))
    [0.5   0.25  0.75  0.125 0.625] [0.333 0.667 0.111]
    """
    points = np.zeros(count)
    for i in range(count):
        rest, share = i + 1, 1.0
        while rest:
            share /= base
            rest, digit = divmod(rest, base)
            points[i] += digit * share
    return points


def trials(count: int, *ranges: Sequence[float]) -> np.ndarray:
    """Quasi-random trials (count, len(ranges)): Halton's points, each range in logarithms.

    >>> print(trials(3, [0.01, 1.0]).ravel().round(4))
    [0.1    0.0316 0.3162]
    """
    points = [corput(count, base) for base in (2, 3, 5)[: len(ranges)]]
    lows, highs = np.log(np.asarray(ranges, float)).T
    return np.exp(lows + np.stack(points, -1) * (highs - lows))


def quarter_decades(low: float, high: float) -> np.ndarray:
    """Learning rates from 10^low to 10^high, four to a factor of ten.

    >>> print(quarter_decades(-3, -2).round(5))
    [0.001   0.00178 0.00316 0.00562 0.01   ]
    """
    return 10 ** np.linspace(low, high, round(4 * (high - low)) + 1)


def by_rate(name: str, plan: Plan, rates: np.ndarray) -> Runs:
    """A sweep of one of SIX over its learning rate."""
    return sweep(networks(plan), SIX[name], rates[:, None], plan, name)


def networks(plan: Plan, **parts: Any) -> list[PureModel]:
    """The dense network as each seed starts it; `parts` are the `MLP`'s own arguments."""
    return [_network(seed, plan.widths, **parts) for seed in range(plan.seeds)]


@functools.cache  # sweeps that differ in the optimizer or the length start alike
def _network(seed: int, widths: tuple[int, ...], **parts: Any) -> PureModel:
    return pure(MLP(nnx.Rngs(seed), widths=widths, **parts))


def sweep(
    models: Sequence[PureModel],
    make: Make,
    tried: np.ndarray,
    plan: Plan,
    label: str,
    watch: Watch = lambda outputs, labels: (),
) -> Runs:
    """Trains for every trial and seed.

    Args:
      models: one a seed; they differ in their parameters only.
      make: `make(fall, *trial)` is the optimizer; `fall(α)` is a rate that falls from α to 0
        along half a cosine.
      tried: (trials, …), positive.
      plan: what they have in common.
      label: what the progress bar says.
      watch: a function of the outputs (test images, classes) at the end and the labels; what it
        returns is kept.

    Returns:
      The `Runs`.
    """
    deals = [deal(plan.images, seed, plan.official) for seed in range(plan.seeds)]
    train, held = (jax.tree.map(lambda *x: jnp.stack(x), *part) for part in list(zip(*deals))[:2])
    parts = train, held, deals[0].test
    orders = jnp.asarray(np.stack([order(plan, seed) for seed in range(plan.seeds)]))
    starts, stats = (
        jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)
        for trees in ([m.params for m in models], [m.batch_stats for m in models])
    )
    seeds = jnp.arange(plan.seeds)
    one = _training(models[0], make, plan, deals[0].normalize, watch)
    run = jax.jit(jax.vmap(one, (None, 0, 0, 0, 0, (0, 0, None))))
    outcomes = [
        jax.device_get(run(jnp.asarray(trial, jnp.float32), starts, stats, seeds, orders, parts))
        for trial in tqdm(tried, desc=label, unit="trial", leave=False, disable=None)
    ]
    (batch_loss, judged), right, watched = jax.tree.map(lambda *each: np.stack(each), *outcomes)
    return Runs(
        _finite(batch_loss.reshape(*batch_loss.shape[:2], -1)),
        {part: _finite(loss) for part, (loss, _) in judged.items()},
        {part: accuracy for part, (_, accuracy) in judged.items()},
        np.packbits(right, axis=-1),
        watched,
    )


def order(plan: Plan, seed: int) -> np.ndarray:
    """Rows of the training images: (marks, steps a mark, batch); each epoch in another order."""
    an_epoch = plan.images // plan.batch
    epochs = range(-(-plan.steps // an_epoch))
    rows = np.concatenate([epoch_order(seed, e, plan.images, plan.batch) for e in epochs])
    return rows[: plan.steps].reshape(plan.marks, -1, plan.batch)


def _training(
    model: PureModel,
    make: Make,
    plan: Plan,
    normalize: Normalization,
    watch: Watch,
) -> Any:
    """One training as a pure function of its trial, start and data."""
    unit = schedule("cosine", 1.0, plan.steps)
    evaluate, forward = make_eval_step(model, normalize), make_forward(model, normalize)

    def fall(rate: Any) -> optax.Schedule:
        return lambda step: rate * unit(step)

    def judge(state: TrainState, part: Batch) -> Any:
        real = jnp.ones(part.labels.shape, bool)
        result = evaluate(state.params, state.batch_stats, part, real)
        return result.loss / result.examples, result.correct / result.examples

    def train(
        trial: Any, params: Any, batch_stats: Any, seed: Any, order: Any, parts: Sequence[Batch]
    ) -> Any:
        optimizer = make(fall, *trial)
        step = make_train_step(model, optimizer, normalize)

        def one(state: TrainState, rows: jax.Array) -> Any:
            state, metrics = step(state, Batch(*(x[rows] for x in parts[0])))
            return state, metrics.loss / plan.batch

        def stretch(state: TrainState, rows: jax.Array) -> Any:
            state, losses = lax.scan(one, state, rows)
            return state, (losses, {p: judge(state, x) for p, x in zip(PARTS, parts)})

        begun = create(PureModel(model.apply, params, batch_stats), optimizer, jax.random.key(seed))
        ended, outcome = lax.scan(stretch, begun, order)
        logits = forward(ended.params, ended.batch_stats, parts[2].images)
        return outcome, logits.argmax(-1) == parts[2].labels, watch(logits, parts[2].labels)

    return train


def _finite(loss: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(loss), loss, np.inf)


def smooth(losses: np.ndarray, over: int) -> np.ndarray:
    """The mean of each number and those before it, `over` at most, along the last axis.

    >>> print(smooth(np.array([4.0, 2.0, 0.0]), 2))
    [4. 3. 1.]
    """
    total = np.cumsum(losses, axis=-1, dtype=np.float64)
    before = np.concatenate([np.zeros_like(total[..., :over]), total[..., :-over]], axis=-1)
    count = np.minimum(np.arange(1, losses.shape[-1] + 1), over)
    with np.errstate(invalid="ignore"):  # ∞ − ∞ after a run that diverged
        return _finite((total - before[..., : total.shape[-1]]) / count)


def width(rates: np.ndarray, losses: np.ndarray, limit: float) -> float:
    """Decades of rates whose loss is at most the limit, log loss interpolated over log rate.

    >>> round(width(np.array([0.01, 0.1, 1.0]), np.array([100.0, 1.0, 100.0]), 10.0), 6)
    1.0
    """
    up = np.argsort(rates)
    at = np.log10(rates[up])
    height = np.log10(np.minimum(losses[up], 1e30) / limit)
    total = 0.0
    for a, b, left, right in zip(at, at[1:], height, height[1:]):
        low, high = min(left, right), max(left, right)
        share = 1.0 if high <= 0 else 0.0 if low > 0 else -low / (high - low)
        total += (b - a) * share
    return float(total)
