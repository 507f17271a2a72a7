"""The contestants of `update_step` that run on torch: its fused and its foreach optimizers."""

from typing import Any

import torch

from benchmarks.bench import Bench, Unavailable
from benchmarks.contestants.mnist_torch import device_for
from benchmarks.contestants.trees import TREES

CLASSES: dict[str, tuple[Any, dict[str, float]]] = {
    "sgd-momentum": (torch.optim.SGD, {"momentum": 0.9}),
    "adagrad": (torch.optim.Adagrad, {"initial_accumulator_value": 0.1}),
    "rmsprop": (torch.optim.RMSprop, {}),
    "adam": (torch.optim.Adam, {}),
    "adamw": (torch.optim.AdamW, {"weight_decay": 1e-4}),
}


def update(form: str, rule: str, tree: str, platform: str) -> Bench:
    """One `step()` of torch's optimizer in the form `form`: "fused" or "foreach"."""
    device = device_for(platform)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise Unavailable("this torch has no CUDA")
    torch.manual_seed(0)
    torch.set_flush_denormal(True)  # as XLA does
    params = [0.1 * torch.randn(shape, device=device) for shape in TREES[tree]()]
    for p in params:
        p.requires_grad_()
        p.grad = 0.01 * torch.randn_like(p)
    kind, settings = CLASSES[rule]
    try:
        optimizer = kind(params, lr=1e-3, **{form: True}, **settings)
    except (TypeError, RuntimeError) as error:
        raise Unavailable(f"torch has no {form} {kind.__name__} here") from error

    def run(steps: int) -> None:
        for _ in range(steps):
            optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return Bench(run, {})
