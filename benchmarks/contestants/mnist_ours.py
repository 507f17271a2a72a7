"""MNIST by the recipe of `time_to_accuracy` with jaxopt_notes."""

# ruff: noqa: E402 - called before the imports that it speeds up, as in our commands
from jaxopt_notes.command import collect_seldom

collect_seldom()

from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from benchmarks.contestants.recipe import (
    EVAL_BATCH,
    Recipe,
    order,
    report,
    task_from_options,
)
from jaxopt_notes.data import Dataset
from jaxopt_notes.models import CNN
from jaxopt_notes.optimizers import adam
from jaxopt_notes.runtime.compilation import compile_in_thread, keep_compiled
from jaxopt_notes.training.drawing import begin_drawing
from jaxopt_notes.training.loop import begin_evaluation, pad, run_epoch, trace_stretch
from jaxopt_notes.training.progress import Progress
from jaxopt_notes.training.schedules import schedule
from jaxopt_notes.training.sharding import make_layout, split_cpu
from jaxopt_notes.training.step import Batch, make_eval_step, make_train_step, normalization_of


def network(recipe: Recipe, rngs: nnx.Rngs) -> CNN:
    """The notes' network, initialised as the recipe says."""
    cnn = CNN(rngs)
    if recipe.zero_logits:
        cnn.logits.kernel[...] = jnp.zeros_like(cnn.logits.kernel[...])
    return cnn


def optimizer_of(recipe: Recipe) -> optax.GradientTransformation:
    """The recipe's Adam, with another learning rate for the dense layers' weights (two axes)."""
    peak, rising = recipe.peak, round(recipe.warmup * recipe.steps)
    cycle = schedule("one-cycle", peak, recipe.steps, recipe.warmup)
    if recipe.linear:
        parts = ((peak / 25, peak, rising), (peak, peak / 1e4, recipe.steps - rising))
        cycle = optax.join_schedules([optax.linear_schedule(*part) for part in parts], [rising])
    return optax.chain(
        adam(cycle, b2=recipe.b2, nesterov=recipe.nesterov),
        optax.stateless_with_tree_map(lambda u, _: u * recipe.dense_rate if u.ndim == 2 else u),
    )


def accuracies(
    recipe: Recipe, data: Dataset, seeds: Sequence[int], first_step_only: bool = False
) -> Iterator[float]:
    """Trains once for each seed and yields the accuracy on `data`'s test set.

    All seeds share one compilation.

    Args:
      recipe: the recipe to train by.
      data: the training set, and the set to measure on.
      seeds: seeds of the initial parameters and the order of the images; all different.
      first_step_only: take one step of the first seed's run, and yield nothing.
    """
    split_cpu(None, recipe.batch, convolves=True)
    layout = make_layout(None, recipe.batch)
    optimizer, normalize = optimizer_of(recipe), normalization_of(data.train_images)
    train_set = layout.hold(data.train_images, data.train_labels)
    draw = begin_drawing(lambda rngs: network(recipe, rngs), optimizer)

    def batches_of(seed: int) -> tuple[Batch, jax.Array | None]:
        return layout.epoch(train_set, order(recipe, seed, len(data.train_labels)))

    batches, like = batches_of(seeds[0]), layout.like(draw.shapes)
    step = make_train_step(draw.model, optimizer, normalize, label_smoothing=recipe.smoothing)
    compiling = compile_in_thread(trace_stretch(step, like, *batches, layout=layout))
    state = layout.place(draw.state(seeds[0]))
    if first_step_only:
        next(run_epoch(compiling.result(), Progress(state), *batches, stops=[1]))
        return
    test_set = pad(data.test_images, data.test_labels, EVAL_BATCH, layout)
    eval_step = make_eval_step(draw.model, normalize)
    evaluate = begin_evaluation(eval_step, state, test_set, layout)
    stretch = compiling.result()
    for seed in seeds:
        if seed != seeds[0]:
            state, batches = layout.place(draw.state(seed)), batches_of(seed)
        (progress,) = run_epoch(stretch, Progress(state), *batches, stops=[recipe.steps])
        state = progress.state
        yield evaluate(state.params, state.batch_stats).accuracy


def main() -> None:
    """Runs the task that the options describe, and reports the result."""
    task = task_from_options()
    keep_compiled(None if task.compilation_cache == "off" else task.compilation_cache)
    report(list(accuracies(task.recipe, task.data, [task.seed], task.first_step_only)))


if __name__ == "__main__":
    main()
