"""A copy of a torch run, whose steps do not change the user's own objects."""

import copy
from collections.abc import Hashable, Iterator, Mapping
from itertools import count
from typing import Any, NamedTuple

import numpy as np

from jaxopt_notes.conventions.torch_parameters import Names, pairs_and_names
from jaxopt_notes.conventions.torch_state import as_array
from jaxopt_notes.errors import InputError
from jaxopt_notes.transfer.back.torch_objects import as_tensors

Arrays = dict[Hashable, np.ndarray]


class Twin(NamedTuple):
    """The copy.

    Attributes:
      optimizer, scheduler: torch's; the scheduler may be None.
      parameters: name → parameter, including parameters that the optimizer does not update.
      module: the module, if requested.
      scheduler_every: how many optimizer steps make one scheduler step.
      clock: the number of optimizer steps, as the scheduler counts them.
    """

    optimizer: Any
    scheduler: Any
    parameters: dict[Hashable, Any]
    module: Any
    scheduler_every: int
    clock: Iterator[int]

    def values(self) -> Arrays:
        """The parameters, copied to arrays."""
        return {name: as_array(p).copy() for name, p in self.parameters.items()}

    def gradients(self) -> dict[Hashable, np.ndarray | None]:
        """The gradients that torch has computed; None for a parameter without gradient."""
        grads = {name: p.grad for name, p in self.parameters.items()}
        return {name: None if g is None else as_array(g).copy() for name, g in grads.items()}

    def step(self, gradients: Mapping[Hashable, np.ndarray | None]) -> None:
        """Takes one step of the optimizer and the scheduler. A frozen parameter has no gradient."""
        for name, p in self.parameters.items():
            gradient = gradients.get(name) if p.requires_grad else None
            p.grad = None if gradient is None else as_tensors(gradient).to(p.device)
        self.optimizer.step()
        if next(self.clock) % self.scheduler_every == 0 and self.scheduler is not None:
            self.scheduler.step()


def twin(
    optimizer: Any, scheduler: Any, names: Names, every: int, taken: int, module: Any = None
) -> Twin:
    """Copies a run, without hooks on the optimizer.

    Args:
      optimizer, scheduler: torch's; the scheduler may be None.
      names: as in `translate`.
      every: how many optimizer steps make one scheduler step.
      taken: how many steps the optimizer has taken, as the scheduler counts them.
      module: the module, if its forward pass is needed.

    Raises:
      InputError: the optimizer or the scheduler cannot step with gradients alone, or a parameter
        has no name.
    """
    if not hasattr(optimizer, "param_groups"):
        raise InputError(f"torch_optimizer: a {type(optimizer).__name__} is not a torch optimizer")
    if scheduler is not None and type(scheduler).__name__ == "ReduceLROnPlateau":
        raise InputError(
            "scheduler: ReduceLROnPlateau needs a metric at each step; leave it out, and both "
            "sides keep the current learning rate"
        )
    parameters = _parameters(optimizer, names)
    for name, p in parameters.items():
        if p.is_complex():
            raise InputError(f"torch_optimizer: {name!r} is complex, which prove does not compare")
    # One deepcopy, so that the copies refer to each other.
    copies = copy.deepcopy((optimizer, scheduler, parameters, module))
    return Twin(*copies, every, count(taken + 1))


def widened(of: Twin) -> Twin:
    """Converts the twin's parameters and their state to float64, in place."""
    for p in of.parameters.values():
        if p.is_floating_point():
            p.data = p.data.double()
    for state in of.optimizer.state.values():
        for slot, x in state.items():
            if slot != "step" and hasattr(x, "is_floating_point") and x.is_floating_point():
                state[slot] = x.double()
    return of


def _parameters(optimizer: Any, names: Names) -> dict[Hashable, Any]:
    """Name → parameter."""
    groups = optimizer.param_groups
    stepped = [p for group in groups for p in group["params"]]
    pairs, ordered = pairs_and_names(names) if names is not None else ([], [])
    if names is None:
        own = all("param_names" in group for group in groups)
        ordered = [n for group in groups for n in group["param_names"]] if own else []
        ordered = ordered or list(range(len(stepped)))
    if not pairs:
        if len(ordered) != len(stepped):
            raise InputError(
                f"names has {len(ordered)} entries, the optimizer {len(stepped)} parameters: pass "
                "the module"
            )
        pairs = list(zip(ordered, stepped))
    known = {id(p) for _, p in pairs}
    if any(id(p) not in known for p in stepped):
        raise InputError("names: the optimizer steps a parameter that has no name; pass the module")
    return dict(pairs)
