"""torch itself as an oracle. Imported only on demand."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_notes.conventions import translate_state
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
    """torch's optimizer of that name, at its first learning rate."""
    return getattr(_load().optim, CLASSES[name])(params, lr=float(np.ravel(rate)[0]), **keywords)


def _walk(
    opt: Any, params: dict[str, Any], rate: Any, steps: int, dtype: str
) -> Iterator[dict[str, np.ndarray]]:
    """Yields θ after each step."""
    torch = _load()
    gs = {
        name: torch.tensor(np.asarray(g, np.float64)).to(getattr(torch, dtype))
        for name, g in problem.gradients(steps, dtype).items()
    }
    rates = np.broadcast_to(np.asarray(rate, np.float64), steps)
    for k in range(steps):
        for group in opt.param_groups:
            group["lr"] = float(rates[k])
        for name, p in params.items():
            p.grad = gs[name][k].clone()
        opt.step()
        yield {name: p.detach().numpy().copy() for name, p in params.items()}


def advance(opt: Any, params: dict[str, Any], rate: Any, steps: int, dtype: str) -> problem.Path:
    """The path over the given number of steps."""
    seen = list(_walk(opt, params, rate, steps, dtype))
    return {name: np.stack([at[name] for at in seen]) for name in params}


def path(name: str, keywords: dict[str, Any], rate: Any, steps: int, dtype: str) -> problem.Path:
    """The path of torch's optimizer."""
    params = parameters(dtype)
    opt = optimizer(name, params.values(), keywords, rate)
    return advance(opt, params, rate, steps, dtype)


def states(name: str, keywords: dict[str, Any], rate: Any, steps: int, dtype: str) -> list[Any]:
    """torch's state after each step, translated to ours."""
    params = parameters(dtype)
    opt = optimizer(name, params.values(), keywords, rate)
    lr = problem.schedule(steps) if np.ndim(rate) else None
    seen = []
    with jax.enable_x64(dtype == "float64"):
        for k, at in enumerate(_walk(opt, params, rate, steps, dtype), start=1):
            theta = {leaf: jnp.asarray(p) for leaf, p in at.items()}
            state = translate_state(opt.state_dict(), theta, lr=lr, names=list(at), steps=k)
            seen.append(state)
    return seen
