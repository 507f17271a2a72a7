"""`prove`: checks that a run moved from torch continues as it would in torch."""

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import jax
import numpy as np
import optax

from jaxopt_notes.conventions import translate_state
from jaxopt_notes.conventions.arrangement import Arrangement, arrange_by, own_names
from jaxopt_notes.conventions.torch_parameters import Names
from jaxopt_notes.errors import InputError
from jaxopt_notes.extras import require
from jaxopt_notes.transfer.run_proof.courses import Course, Readings, advance, begin, in_float64
from jaxopt_notes.transfer.run_proof.gradient_supply import (
    Gradients,
    Losses,
    Pair,
    computed,
    drawn,
    supplied,
)
from jaxopt_notes.transfer.run_proof.likeness import differences, state_hints
from jaxopt_notes.transfer.run_proof.scheduler_place import steps_taken, steps_within
from jaxopt_notes.transfer.run_proof.torch_twin import Arrays, twin, widened
from jaxopt_notes.transfer.run_proof.verdict import Drift, Proof, judged, unlike
from jaxopt_notes.verification.proof import device


def prove(
    torch_optimizer: Any,
    optimizer: optax.GradientTransformation,
    state: Any,
    params: Any,
    *,
    arrange: Arrangement | None = None,
    names: Names = None,
    scheduler: Any = None,
    scheduler_every: int = 1,
    scheduler_ahead: int = 0,
    total_steps: int | None = None,
    steps: int = 100,
    gradients: Gradients | None = None,
    batches: Iterable[Any] | None = None,
    losses: Losses | None = None,
) -> Proof:
    """Checks step by step that a transformation continues a torch run as torch would.

    A copy of the torch run and the transformation take equal gradients. By default the gradients
    are random, from 1e-9 to 1e3 and with zeros, so that each term of the equation shows within a
    few steps. Each step starts from torch's current parameters, once in the run's own dtype and
    once in float64, where rounding hides nothing. A second run of the transformation continues from
    its own parameters, to show how rounding adds up. Torch's optimizer, scheduler and parameters do
    not change; memory holds three copies of them.

    Args:
      torch_optimizer: any torch optimizer in mid-training.
      optimizer: the transformation that takes over, of this package, optax or your own.
      state: its state.
      params: the parameters here, as torch left them.
      arrange: where each of torch's parameters belongs in `params`, as in `translate`; with
        `names=module`, for all of the module's parameters.
      names: as in `translate`. Pass the module to compare also parameters that torch does not
        update.
      scheduler: the torch scheduler that drives the optimizer.
      scheduler_every: as in `translate`. SGD does not count its steps: run the proof right after a
        scheduler step.
      scheduler_ahead: as in `translate`.
      total_steps: as in `translate`.
      steps: how many steps to take, at most the remaining steps of OneCycleLR or `total_steps`.
        Most errors show at the first step; a scheduler's errors show when its values change.
      gradients: a function from the step, 0 for the first, to {torch's name: array}. A missing
        parameter has no gradient in torch, and zeros in JAX, as `jax.grad` gives.
      batches: data for `losses`, one for each step.
      losses: `(torch_loss(module, batch), jax_loss(params, batch))`, two functions that return a
        scalar. Then `names` must be the module. The two gradients are compared at equal parameters,
        and both optimizers step with torch's. The copy is in the module's mode (train or eval);
        switch off dropout, because its random numbers differ between the sides.

    Returns:
      A `Proof`: `.equal`, `.first`, `.drift`; `str(proof)` is a report, and `proof.write(folder)`
      saves it as JSON and Markdown.

    Raises:
      InputError: the two sides' parameters differ in structure or shape, an argument is missing, or
        torch's optimizer cannot step with gradients alone.
      MissingExtraError: torch is not installed.

    >>> import torch  # doctest: +SKIP
    >>> weight = torch.nn.Parameter(torch.ones(20))  # doctest: +SKIP
    >>> there = torch.optim.SGD([weight], lr=0.1)  # doctest: +SKIP
    >>> wrong, params = optax.sgd(0.2), [np.ones(20, np.float32)]
    >>> proof = prove(there, wrong, wrong.init(params), params, steps=3)  # doctest: +SKIP
    >>> proof.equal, proof.first.step  # doctest: +SKIP
    (False, 1)
    """
    require("prove", "torch", "torch")
    _check_arguments(optimizer, steps, batches, losses, names)
    driven = {
        "scheduler": scheduler,
        "scheduler_every": scheduler_every,
        "scheduler_ahead": scheduler_ahead,
        "total_steps": total_steps,
    }
    taken = steps_taken(torch_optimizer, **driven)
    steps = steps_within(steps, taken, **driven)
    arrange = own_names(params) if arrange is None else arrange
    run = (torch_optimizer, scheduler, names, scheduler_every, taken + scheduler_ahead)
    torch_side = twin(*run, names if losses else None)
    values, paths = torch_side.values(), _paths(params)
    narrowed, unequal = _start(params, _arranged(arrange, values, params), paths)
    sources = _sources(arrange, values)
    about = {
        "steps": 0,
        "dtype": _dtype(values),
        "optimizer": type(torch_optimizer).__name__,
        "scheduler": None if scheduler is None else type(scheduler).__name__,
        "gradients": "losses" if losses else "given" if gradients else "drawn",
        "constant_rates": False,
        "scheduler_missing": scheduler is None and _is_scheduled(torch_optimizer),
        **device(),
    }
    in_torch = {path: ", ".join(map(str, of)) for path, of in zip(paths, sources)}
    start = (*narrowed, *unequal)
    proof = Proof(False, None, (), {}, {}, start, (), in_torch, about)
    if narrowed:
        return proof
    courses = [begin(torch_side, arrange, state)]
    if about["dtype"] != "float64":
        courses.append(begin(widened(twin(*run)), arrange, in_float64(state)))
    if losses:
        some = (batch for _, batch in zip(range(steps), batches or ()))
        supply = computed(losses, some, torch_side, arrange, sources)
    else:
        supply = supplied(gradients or drawn(values), steps, values, arrange)
    proof = _walked(proof, courses, supply, optimizer, arrange)
    if proof.equal:
        return proof
    driven |= {"arrange": arrange, "names": names}
    expected = _expected(torch_optimizer, params, taken, driven)
    return proof._replace(hints=tuple(state_hints(expected, state, params, paths)))


def _is_scheduled(torch_optimizer: Any) -> bool:
    """Whether a param group has keys from a scheduler."""
    return any("initial_lr" in group for group in torch_optimizer.param_groups)


def _walked(
    proof: Proof,
    courses: list[Course],
    supply: Iterable[Pair],
    optimizer: optax.GradientTransformation,
    arrange: Arrangement,
) -> Proof:
    """The proof after all steps of the courses, the run's own dtype first, float64 last."""
    readings: list[list[Readings]] = [[] for _ in courses]
    torch_side, apart = courses[0].twin, []
    rates = [_rates(torch_side.optimizer)]
    for pair in supply:
        for i, course in enumerate(courses):
            courses[i], step = advance(course, optimizer, arrange, pair.there, pair.here)
            readings[i].append(step)
        apart.append(pair.apart)
        rates.append(_rates(torch_side.optimizer))
    if not apart:
        raise InputError("batches: is empty; pass one for each step")
    own, exact = (Readings(*map(np.stack, zip(*readings[i]))) for i in (0, -1))
    drift = {
        path: Drift(own.step[:, i], own.way[:, i], exact.share[:, i])
        for i, path in enumerate(proof.names)
    }
    gradients = dict(zip(proof.names, np.stack(apart).T))  # empty if both sides got equal gradients
    dtype, departures = proof.about["dtype"], judged(drift, proof.about["dtype"])
    unequal = any(unlike(far, dtype) is not None for far in gradients.values())
    constant = torch_side.scheduler is not None and all(rate == rates[0] for rate in rates)
    return proof._replace(
        equal=not (departures or proof.start or unequal),
        first=departures[0] if departures else None,
        departures=departures,
        drift=drift,
        gradients=gradients,
        about=proof.about | {"steps": len(apart), "constant_rates": constant},
    )


def _check_arguments(
    optimizer: Any, steps: int, batches: Any, losses: Losses | None, names: Names
) -> None:
    if not isinstance(optimizer, optax.GradientTransformation):
        raise InputError(
            f"optimizer: a {type(optimizer).__name__} is not an optax.GradientTransformation"
        )
    if steps < 1:
        raise InputError(f"steps={steps}: pass at least 1")
    if (batches is None) != (losses is None):
        raise InputError("batches and losses: pass both or neither")
    if losses is not None and not hasattr(names, "named_parameters"):
        raise InputError("names: the losses need the torch module; pass names=module")


def _arranged(arrange: Arrangement, values: Arrays, params: Any) -> Any:
    """Torch's parameters as a tree, checked against the parameters here."""
    tree = arrange_by(arrange, values)
    structure: Any = jax.tree.structure(params)
    if jax.tree.structure(tree) != structure:
        raise InputError("arrange: makes a tree with a different structure from params")
    for path, p, there in zip(_paths(params), jax.tree.leaves(params), jax.tree.leaves(tree)):
        if np.shape(p) != there.shape:
            raise InputError(f"params: {path!r} has shape {np.shape(p)}, torch's {there.shape}")
    return tree


def _paths(params: Any) -> list[str]:
    return [
        jax.tree_util.keystr(path, simple=True, separator=".") or "params"
        for path, _ in jax.tree_util.tree_leaves_with_path(params)
    ]


def _sources(arrange: Arrangement, values: Arrays) -> list[list[Hashable]]:
    """Torch's names for each leaf, found with arrays that are filled with numbers."""
    names = list(values)
    filled = {name: np.full(x.shape, i) for i, (name, x) in enumerate(values.items())}
    leaves = jax.tree.leaves(arrange_by(arrange, filled))
    return [[names[int(i)] for i in np.unique(np.asarray(leaf))] for leaf in leaves]


def _dtype(values: Arrays) -> str:
    """The parameters' dtype, or the coarsest of several."""
    dtypes = {jax.numpy.dtype(x.dtype) for x in values.values()}
    return str(max(dtypes, key=lambda dtype: float(jax.numpy.finfo(dtype).eps)))


def _start(params: Any, target: Any, paths: Sequence[str]) -> tuple[list[str], list[str]]:
    """The differences in dtypes and values before the first step."""
    ours, of_torch = (
        dict(zip(paths, map(np.asarray, jax.tree.leaves(tree)))) for tree in (params, target)
    )
    narrowed = [
        f"{path!r} is {ours[path].dtype} here and {of_torch[path].dtype} in torch"
        for path in paths
        if ours[path].dtype != of_torch[path].dtype
    ]
    return narrowed, differences("", ours, of_torch)


def _rates(optimizer: Any) -> list[float]:
    return [float(group["lr"]) for group in optimizer.param_groups]


def _expected(torch_optimizer: Any, params: Any, taken: int, keywords: dict[str, Any]) -> Any:
    """The state that `translate_state` makes; None if it does not know the optimizer."""
    steps = None if keywords["scheduler"] is None else taken
    try:
        return translate_state(torch_optimizer, params, steps=steps, **keywords)
    except InputError:
        return None
