"""From a torch optimizer's state to ours: a run moves from torch to JAX in mid-training.

torch                                   here
exp_avg, grad_avg                       mu
exp_avg_sq, square_avg                  nu
max_exp_avg_sq                          nu_max
sum                                     sum_of_squares
momentum_buffer                         trace
step                                    count
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_notes.conventions.arrangement import Arrangement, arrange_by, names_of, own_names
from jaxopt_notes.conventions.terms import Rate
from jaxopt_notes.conventions.translation import kind_of_group, translate
from jaxopt_notes.errors import InputError

_SLOTS = {
    "exp_avg": "mu",
    "grad_avg": "mu",
    "exp_avg_sq": "nu",
    "square_avg": "nu",
    "max_exp_avg_sq": "nu_max",
    "sum": "sum_of_squares",
    "momentum_buffer": "trace",
}


def translate_state(
    state_dict: Mapping[str, Any],
    params: optax.Params,
    *,
    lr: Rate | None = None,
    arrange: Arrangement | None = None,
    names: Sequence[str] | None = None,
    steps: int | None = None,
) -> Any:
    """The state of `translate(state_dict, …)` after the steps that torch has taken.

    Args:
      state_dict: a torch optimizer's `state_dict()`.
      params: the parameters in JAX, as torch left them.
      lr: as given to `translate`.
      arrange: where each of torch's parameters belongs in `params`: a tree of their names, or a
        function from {name: value} to the tree. As a default `params` is a flat dict of torch's
        names, or a list in torch's order.
      names: the names of torch's parameters in order; as a default those it was told by
        `named_parameters`, else 0, 1, 2, ….
      steps: how many steps torch has taken; needed only for SGD with a schedule, as SGD does not
        count them.

    Returns:
      The state, with the values and dtypes of torch's.

    Raises:
      InputError: the state has no equal here, or does not fit `params`.
    """
    arrange = own_names(params) if arrange is None else arrange
    empty = translate(state_dict, lr=lr, arrange=arrange, names=names).init(params)
    groups = state_dict["param_groups"]
    positions = [p for group in groups for p in group["params"]]
    known = dict(zip(names_of(groups, names), positions))
    held = {name: state_dict["state"].get(p, {}) for name, p in known.items()}

    slots = sorted(
        {s for of in held.values() for s, x in of.items() if s in _SLOTS and x is not None}
    )
    fields = {_SLOTS[slot]: _arranged(slot, held, arrange, params) for slot in slots}
    count = _steps(held, kind_of_group(groups[0]), lr, steps)
    return _filled(empty, {"count": jnp.asarray(count, jnp.int32), **fields})


def _arranged(slot: str, held: Mapping[Any, Any], arrange: Arrangement, params: Any) -> Any:
    """The tree of one accumulator, checked against the parameters."""
    for name, of in held.items():
        if of.get(slot) is None:
            raise InputError(f"{name!r} has no {slot}: it had no gradient yet, the others had")
    tree = arrange_by(arrange, {name: _array(of[slot]) for name, of in held.items()})
    expected: Any = jax.tree.structure(params)
    if jax.tree.structure(tree) != expected:
        raise InputError(f"the arranged {slot} is a tree of another shape than params")
    for (path, x), p in zip(jax.tree_util.tree_leaves_with_path(tree), jax.tree.leaves(params)):
        if (x.shape, x.dtype) != (jnp.shape(p), jnp.result_type(p)):
            raise InputError(
                f"{slot} at {jax.tree_util.keystr(path)} is {x.dtype}{list(x.shape)}, "
                f"the parameter {jnp.result_type(p)}{list(jnp.shape(p))}"
            )
    # A copy: jnp.asarray may share the memory, in which torch's next step would write.
    return jax.tree.map(jnp.array, tree)


def _array(tensor: Any) -> np.ndarray:
    tensor = tensor.detach().cpu()
    if str(tensor.dtype) == "torch.bfloat16":  # which NumPy has only by way of JAX
        return tensor.float().numpy().astype(jnp.bfloat16)
    return tensor.numpy()


def _steps(held: Mapping[Any, Any], kind: str, lr: Rate | None, steps: int | None) -> int:
    counted = {int(of["step"]) for of in held.values() if "step" in of}
    if len(counted) > 1:
        raise InputError(f"the parameters have taken different numbers of steps: {sorted(counted)}")
    if steps is not None and counted - {steps}:
        raise InputError(f"steps={steps}, but the state_dict counts {counted.pop()}")
    if steps is not None or counted:
        return counted.pop() if counted else int(steps or 0)
    if kind == "SGD" and callable(lr):
        raise InputError(
            "torch's SGD does not count its steps, which the schedule needs: pass steps="
        )
    # All else that asks is the dampening: is this still the first step?
    return int(any(of.get("momentum_buffer") is not None for of in held.values()))


def _filled(state: Any, fields: Mapping[str, Any]) -> Any:
    """The state with the named fields replaced wherever they stand, in partitions too."""

    def holds(node: Any) -> bool:
        return any(name in fields for name in getattr(node, "_fields", ()))

    def fill(node: Any) -> Any:
        if not holds(node):
            return node
        own = {name: fields[name] for name in node._fields if name in fields}
        return node._replace(**{n: _masked_as(x, getattr(node, n)) for n, x in own.items()})

    return jax.tree.map(fill, state, is_leaf=holds)


def _masked_as(tree: Any, like: Any) -> Any:
    """The tree with a `MaskedNode` wherever `like` has one."""

    def masked(x: Any) -> bool:
        return isinstance(x, optax.MaskedNode)

    return jax.tree.map(lambda old, x: old if masked(old) else x, like, tree, is_leaf=masked)
