"""torch itself as an oracle. Imported only when asked for."""

from importlib import import_module
from typing import Any

import numpy as np

from jaxopt_notes.verification import problem

CLASSES = {
    "sgd": "SGD",
    "adagrad": "Adagrad",
    "rmsprop": "RMSprop",
    "adam": "Adam",
    "adamw": "AdamW",
}


def _load() -> Any:
    torch = import_module("torch")
    # torch's threads and XLA's disturb each other in one process.
    torch.set_num_threads(1)
    return torch


def parameters(dtype: str) -> dict[str, Any]:
    """θ_0 as torch parameters."""
    torch = _load()
    return {
        name: torch.nn.Parameter(torch.tensor(np.asarray(p, np.float64)).to(getattr(torch, dtype)))
        for name, p in problem.start(dtype).items()
    }


def optimizer(name: str, params: Any, keywords: dict[str, Any], rate: Any) -> Any:
    """torch's optimizer of that name, at its first rate."""
    return getattr(_load().optim, CLASSES[name])(params, lr=float(np.ravel(rate)[0]), **keywords)


def advance(opt: Any, params: dict[str, Any], rate: Any, steps: int, dtype: str) -> problem.Path:
    """The path of the given number of steps."""
    torch = _load()
    gs = {
        name: torch.tensor(np.asarray(g, np.float64)).to(getattr(torch, dtype))
        for name, g in problem.gradients(steps, dtype).items()
    }
    rates = np.broadcast_to(np.asarray(rate, np.float64), steps)
    seen: dict[str, list[np.ndarray]] = {name: [] for name in params}
    for k in range(steps):
        for group in opt.param_groups:
            group["lr"] = float(rates[k])
        for name, p in params.items():
            p.grad = gs[name][k].clone()
        opt.step()
        for name, p in params.items():
            seen[name].append(p.detach().to(torch.float64).numpy().copy())
    return {name: np.stack(path) for name, path in seen.items()}


def path(name: str, keywords: dict[str, Any], rate: Any, steps: int, dtype: str) -> problem.Path:
    """Where torch's optimizer goes."""
    params = parameters(dtype)
    opt = optimizer(name, params.values(), keywords, rate)
    return advance(opt, params, rate, steps, dtype)
