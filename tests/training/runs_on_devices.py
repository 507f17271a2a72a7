"""`python -m tests.training.runs_on_devices OUT [HOST:PORT N I]`: a few runs on all devices here.

`test_many_devices.py` starts it in one process or, with HOST:PORT N I, in several.
"""

import json
import sys
from pathlib import Path

import jax
import numpy as np

from jaxopt_notes import adam_to_sgd, momentum
from jaxopt_notes.data import load
from jaxopt_notes.models import CNN, MLP
from jaxopt_notes.runtime import compilation
from jaxopt_notes.training.loop import compile_stretch, run_epoch
from jaxopt_notes.training.progress import Progress
from jaxopt_notes.training.sharding import make_layout
from jaxopt_notes.training.state import create
from jaxopt_notes.training.step import make_train_step, normalization_of
from tests.training.small_networks import drawn

BATCH, STEPS = 16, 10
# name: network and optimizer, made after the processes have met; whether its state is cut
RUNS = {
    "cnn": (lambda: drawn(CNN, features=(4, 8), hidden=16), momentum(0.1, 0.9), False),
    "cnn, batch norm, dropout, cut": (
        lambda: drawn(CNN, features=(4, 8), hidden=16, norm="batch", dropout=0.2),
        momentum(0.1, 0.9),
        True,
    ),
    "mlp, batch norm, handover, cut": (
        lambda: drawn(MLP, widths=(32,), norm="batch"),
        adam_to_sgd(1e-3, 5, 0.01, eps=1e-3, carry="momentum"),
        True,
    ),
}


def losses(name):
    network, optimizer, cut = RUNS[name]
    digits, model, layout = load("mnist-12k"), network(), make_layout(None, BATCH, cut)
    optimizer = layout.optimizer(optimizer)
    images, labels = digits.train_images[::50], digits.train_labels[::50]
    step = make_train_step(model, optimizer, normalization_of(images), shift_by=2)
    state = layout.place(create(model, optimizer, jax.random.key(0)))
    order = np.arange(BATCH * STEPS, dtype=np.int32).reshape(STEPS, BATCH)
    batches = layout.epoch(layout.hold(images, labels), order)
    stretch = compile_stretch(step, state, *batches, layout=layout)
    sums = []
    for progress in run_epoch(stretch, Progress(state), *batches, range(1, STEPS + 1)):
        sums.append(float(progress.sums.loss))
    statistics = [np.asarray(x).tolist() for x in jax.tree.leaves(progress.state.batch_stats)]
    return {
        "losses": np.diff([0.0, *sums]).tolist(),
        "statistics": statistics,
        "parts": [
            x.addressable_shards[0].data.size / x.size
            for x in jax.tree.leaves(progress.state.opt_state)
        ],
        "whole": [x.sharding.is_fully_replicated for x in jax.tree.leaves(progress.state.params)],
        "devices": jax.device_count(),
    }


def main(out, *others):
    compilation.OPTIONS["xla_backend_optimization_level"] = 0
    if others:
        host, number, index = others
        jax.distributed.initialize(
            host, int(number), int(index), cluster_detection_method="deactivate"
        )
    results = {name: losses(name) for name in RUNS}
    if jax.process_index() == 0:
        Path(out).write_text(json.dumps(results))


if __name__ == "__main__":
    main(*sys.argv[1:])
