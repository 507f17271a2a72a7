"""MNIST to a target accuracy with jaxopt_notes."""

# ruff: noqa: E402 - as our commands do, before the imports that it hastens
from jaxopt_notes.command import collect_seldom

collect_seldom()

import jax

from benchmarks.contestants.recipe import (
    B2,
    BATCH,
    EPOCHS,
    EVAL_BATCH,
    PEAK,
    WARMUP,
    Task,
    report,
    task_from_options,
)
from jaxopt_notes.models import CNN, pure
from jaxopt_notes.optimizers import adam
from jaxopt_notes.runtime.compilation import keep_compiled, sooner
from jaxopt_notes.training.loop import compile_stretch, evaluate, pad, run_epoch
from jaxopt_notes.training.network import initialised
from jaxopt_notes.training.progress import Progress
from jaxopt_notes.training.schedules import schedule
from jaxopt_notes.training.sharding import make_layout, split_cpu
from jaxopt_notes.training.state import create
from jaxopt_notes.training.step import Batch, make_eval_step, make_train_step, normalization_of


def train(task: Task) -> list[float]:
    """Trains until the target is reached; returns the test accuracy after each epoch."""
    keep_compiled(None if task.compilation_cache == "off" else task.compilation_cache)
    split_cpu(None, BATCH, convolves=True)
    layout = make_layout(None, BATCH)
    data = task.data
    steps = len(data.train_labels) // BATCH
    cycle = schedule("one-cycle", PEAK, steps, WARMUP)
    optimizer = adam(lambda step: cycle(step % steps), b2=B2)
    model, normalize = pure(initialised(CNN, task.seed)), normalization_of(data.train_images)
    state = layout.place(create(model, optimizer, jax.random.key(task.seed)))
    train_set = layout.hold(data.train_images, data.train_labels)
    step = make_train_step(model, optimizer, normalize)

    def batches(epoch: int) -> tuple[Batch, jax.Array | None]:
        return layout.epoch(train_set, task.order(epoch))

    stretch = compile_stretch(step, state, *batches(0), layout=layout)
    if task.first_step_only:
        next(run_epoch(stretch, Progress(state), *batches(0), stops=[1]))
        return []

    eval_step = layout.jit(make_eval_step(model, normalize), **sooner())
    test_set = pad(data.test_images, data.test_labels, EVAL_BATCH, layout)
    accuracies: list[float] = []
    while len(accuracies) < EPOCHS and task.target > max(accuracies, default=0):
        (progress,) = run_epoch(stretch, Progress(state), *batches(len(accuracies)), stops=[steps])
        state = progress.state
        test = evaluate(eval_step, state.params, state.batch_stats, test_set)
        accuracies.append(test.accuracy)
    return accuracies


if __name__ == "__main__":
    report(train(task_from_options()))
