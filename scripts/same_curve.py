"""Trains one network in torch and in JAX and compares the losses: docs/pictures/same-curve.

    python scripts/same_curve.py [--out DIR]

torch trains once. JAX trains with every item of docs/same-curve.md as in torch, and then once for
each item with that item left out. All that is random is drawn once, for both frameworks. The curves
are in float64; the differences of float32 are measured beside them. Needs the extras `train`,
`plots` and `torch`.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import same_curve_picture
import torch
from same_curve_runs import (
    ALPHA,
    BATCH,
    DECAY,
    EPS,
    EVERY,
    LEARNING_RATE,
    MOMENTUM,
    Curves,
    Images,
    Run,
    batches,
    images_of,
    jax_run,
    network_of,
    same_run,
    schedule,
    torch_network,
    torch_run,
)

from jaxopt_notes import files, optimizers
from jaxopt_notes.data import Dataset, load
from jaxopt_notes.models import like_torch

OUT = Path(__file__).resolve().parent.parent / "docs" / "pictures"
STEPS, STARTS = 200, 4  # in float32, one start differs from the next
AGREE = 1e-5


def rmsprop(
    steps: int,
    *,
    gradient_times: float = 1,
    coupled: bool = True,
    eps_in_sqrt: bool = False,
    velocity: optax.GradientTransformation | None = None,
    rate_first: bool = False,
    steps_ahead: int = 0,
) -> optax.GradientTransformation:
    """torch's RMSprop in parts, any of which may be another or stand elsewhere."""
    fall = schedule(steps, jnp)
    velocity = velocity or optimizers.trace(MOMENTUM)
    decay = optimizers.add_decayed_weights(DECAY)
    rate = optimizers.scale_by_learning_rate(lambda t: LEARNING_RATE * fall(t + steps_ahead))
    return optax.chain(
        optax.scale(gradient_times),
        *([decay] if coupled else []),
        optimizers.scale_by_rms(ALPHA, EPS, eps_in_sqrt=eps_in_sqrt),
        *([] if coupled else [decay]),
        *([rate, velocity] if rate_first else [velocity, rate]),
    )


def omissions(same: Run, size: int) -> dict[str, Run]:
    """The runs in which one item is not as in torch, by the item that stands in its place."""
    steps = len(same.batches)
    dtype = same.params["logits"]["bias"].dtype
    drawn = jax.tree.map(lambda p: p.astype(dtype), like_torch(1, same.network))
    average = optax.ema(MOMENTUM, debias=False)
    optimizer = {
        "momentum as a moving average": rmsprop(steps, velocity=average),
        "learning rate inside the momentum": rmsprop(steps, rate_first=True),
        "ε inside the root": rmsprop(steps, eps_in_sqrt=True),
        "weight decay decoupled": rmsprop(steps, coupled=False),
        "schedule one step ahead": rmsprop(steps, steps_ahead=1),
        "loss summed over the batch": rmsprop(steps, gradient_times=BATCH),
    }
    return {
        "other weights of the same distribution": same._replace(params=drawn),
        "another order of images": same._replace(batches=batches(1, size, steps)),
        "last, incomplete batch kept": same._replace(batches=batches(0, size, steps, True)),
        "other dropout masks": same._replace(key=jax.random.key(1)),
        **{name: same._replace(optimizer=each) for name, each in optimizer.items()},
        "batch norm momentum 0.99, not 0.9": same._replace(network=network_of(momentum=0.99)),
        "running variance biased": same._replace(network=network_of(unbiased=False)),
    }


# ---- both


def compare(
    data: Dataset, x64: bool, steps: int, seed: int = 0
) -> tuple[Curves, Curves, Run, Images]:
    """torch's curves, JAX's with every item the same, and what JAX's were made of."""
    images = images_of(data, np.float64 if x64 else np.float32)
    network = torch_network(torch.float64 if x64 else torch.float32, seed)
    same = same_run(network, images, steps)  # copies the weights before torch trains them
    return torch_run(network, same, images), jax_run(same, images), same, images


def distance(ours: Curves, of_torch: Curves) -> dict[str, dict[str, Any]]:
    """How far apart the losses are at most, and the first step at which they are 1e-5 apart."""
    distances = {}
    for name, every, a, b in zip(("train", "test"), (1, EVERY), ours, of_torch):
        apart = np.abs(a - b)
        first = int(np.argmax(apart > AGREE) + 1) * every if (apart > AGREE).any() else None
        distances[name] = {"largest": float(apart.max()), "first_step_above_1e-5": first}
    return distances


def measure(steps: int = STEPS) -> dict[str, Any]:
    """All numbers of the picture."""
    data = load("mnist-12k")
    with jax.enable_x64(False):
        starts = [compare(data, False, steps, seed)[:2] for seed in range(STARTS)]
        float32 = [distance(ours, of_torch) for of_torch, ours in starts]
    with jax.enable_x64(True):
        of_torch, ours, same, images = compare(data, True, steps)
        runs = {
            name: jax_run(run, images) for name, run in omissions(same, len(images.train)).items()
        }
    return {
        "test_loss_every": EVERY,
        "versions": {"jax": jax.__version__, "torch": torch.__version__},
        "torch": _lists(of_torch),
        "jax": _lists(ours),
        "same, float64": distance(ours, of_torch),
        "same, float32": max(float32, key=lambda apart: apart["train"]["largest"]),
        "same, float32, each start": float32,
        "left out": {
            name: {**distance(curves, of_torch), "curves": _lists(curves)}
            for name, curves in runs.items()
        },
    }


def _lists(curves: Curves) -> dict[str, list[float]]:
    return {name: [float(f"{x:.6g}") for x in losses] for name, losses in curves._asdict().items()}


def main() -> None:
    """Writes same-curve.json and same-curve.png."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT, help="folder (default: docs/pictures)")
    out = parser.parse_args().out
    torch.set_num_threads(1)  # its sums in float32 depend on it
    out.mkdir(parents=True, exist_ok=True)
    numbers = measure()
    files.write_text(out / "same-curve.json", json.dumps(numbers, ensure_ascii=False) + "\n")
    same_curve_picture.draw(out / "same-curve.png", numbers)


if __name__ == "__main__":
    main()
