"""Moves a torch run into the containers of a Flax module, and takes a run out of them.

    optimizer = to_nnx_optimizer(torch_optimizer, model, module, mapping)
    state = to_train_state(torch_optimizer, variables, module, mapping, apply_fn=network.apply)
    optimizer, state, params = from_flax(…)

`names.py` has the correspondence of names and axes.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, NamedTuple

import optax
from flax import nnx
from flax.training.train_state import TrainState

from jaxopt_notes.conventions import translate, translate_state
from jaxopt_notes.errors import InputError
from jaxopt_notes.transfer.flax.names import Entry, listed
from jaxopt_notes.transfer.flax.tree import Arrangement, arrays_of, flax_arrangement


class Run(NamedTuple):
    """A run taken out of Flax's container, for `to_torch_optimizer` and `prove`.

    Attributes:
      optimizer: the transformation.
      state: its state.
      params: the parameters.

    >>> model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
    >>> stepping = nnx.Optimizer(model, optax.sgd(0.1), wrt=nnx.Param)
    >>> optimizer, state, params = from_flax(stepping, model)
    >>> params["kernel"].shape
    (2, 1)
    """

    optimizer: optax.GradientTransformation
    state: Any
    params: Any


def to_nnx_optimizer(
    optimizer: Any,
    model: nnx.Module,
    module: Any,
    mapping: Mapping[str, Entry] | None = None,
    *,
    wrt: Any = nnx.Param,
    steps: int | None = None,
    **keywords: Any,
) -> nnx.Optimizer[Any]:
    """Makes the nnx.Optimizer that continues a torch run; copies torch's weights into `model`.

    Args:
      optimizer: the torch optimizer.
      model: the nnx module of the same architecture, whose weights and statistics are replaced.
      module: the torch module.
      mapping: as for `flax_arrangement`.
      wrt: the parameters that the optimizer updates; pass a filter if torch's optimizer lacks some.
      steps: as for `translate_state`.
      **keywords: as for `translate`: scheduler, lr and others, but not arrange and names.

    Raises:
      InputError: as `flax_arrangement`, `translate` and `translate_state`; `model` is unchanged.

    >>> import torch  # doctest: +SKIP
    >>> module = torch.nn.Sequential(torch.nn.Linear(2, 1))  # doctest: +SKIP
    >>> there = torch.optim.AdamW(module.parameters(), lr=0.1)  # doctest: +SKIP
    >>> model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
    >>> optimizer = to_nnx_optimizer(there, model, module, {"": "0"})  # doctest: +SKIP
    >>> bool((model.bias[...] == module[0].bias.detach().numpy()).all())  # doctest: +SKIP
    True
    """
    everything = flax_arrangement(model, module, mapping)
    run = _run(optimizer, module, everything.only(arrays_of(model, wrt)), steps, keywords)
    nnx.update(model, everything.weights(module))
    result = nnx.Optimizer(model, run.optimizer, wrt=wrt)
    nnx.update(result.opt_state, nnx.state(run.state))
    result.step[...] = _taken(optimizer, steps)
    return result


def to_train_state(
    optimizer: Any,
    variables: Mapping[str, Any],
    module: Any,
    mapping: Mapping[str, Entry] | None = None,
    *,
    apply_fn: Callable[..., Any],
    train_state: type[Any] = TrainState,
    more: Mapping[str, Any] | None = None,
    steps: int | None = None,
    **keywords: Any,
) -> Any:
    """Makes Linen's TrainState that continues a torch run, with torch's weights.

    Args:
      optimizer: the torch optimizer.
      variables: the result of the Linen module's `init`; it is not changed.
      module: the torch module.
      mapping: as for `flax_arrangement`.
      apply_fn: the Linen module's `apply`.
      train_state: the class. With batch statistics it must be a subclass of TrainState that has a
        field for each collection besides "params".
      more: the values of the class's other fields.
      steps: as for `translate_state`.
      **keywords: as for `translate`: scheduler, lr and others, but not arrange and names.

    Raises:
      InputError: as `flax_arrangement`, `translate` and `translate_state`.

    >>> import jax, torch  # doctest: +SKIP
    >>> import numpy as np
    >>> from flax import linen as nn
    >>> module = torch.nn.Linear(2, 1)  # doctest: +SKIP
    >>> there = torch.optim.SGD(module.parameters(), lr=0.1)  # doctest: +SKIP
    >>> network = nn.Dense(1)
    >>> variables = network.init(jax.random.key(0), np.ones((1, 2)))  # doctest: +SKIP
    >>> state = to_train_state(there, variables, module, apply_fn=network.apply)  # doctest: +SKIP
    >>> float(state.params["bias"][0]) == module.bias.item()  # doctest: +SKIP
    True
    """
    if "params" not in variables:
        raise InputError("variables: has no 'params'; pass what the Linen module's init returned")
    known = {field.name for field in fields(train_state)}
    if others := [name for name in variables if name not in known]:
        raise InputError(
            f"variables: {train_state.__name__} has no field for {listed(others)}; pass "
            "train_state=, a subclass of TrainState with such a field"
        )
    everything = flax_arrangement(variables, module, mapping)
    run = _run(optimizer, module, everything.only(variables["params"]), steps, keywords)
    return train_state(
        step=_taken(optimizer, steps),
        apply_fn=apply_fn,
        tx=run.optimizer,
        opt_state=run.state,
        **everything.weights(module),
        **(more or {}),
    )


def from_flax(container: Any, model: nnx.Module | None = None) -> Run:
    """Takes an nnx.Optimizer or a TrainState apart, for the way back and for `prove`.

        to_torch_optimizer(*from_flax(optimizer, model), module, arrange=arrange)

    Args:
      container: an nnx.Optimizer or Linen's TrainState.
      model: the nnx module that the nnx.Optimizer updates.

    Raises:
      InputError: `container` is neither, or the model is missing.

    >>> import numpy as np
    >>> state = TrainState.create(apply_fn=None, params={"w": np.ones(2)}, tx=optax.sgd(0.1))
    >>> from_flax(state).params
    {'w': array([1., 1.])}
    """
    if isinstance(container, nnx.Optimizer):
        if model is None:
            raise InputError("model: an nnx.Optimizer does not hold its module; pass the module")
        state = nnx.as_pure(container.opt_state)
        return Run(container.tx, state, arrays_of(model, container.wrt))
    if isinstance(container, TrainState):
        return Run(container.tx, container.opt_state, container.params)
    raise InputError(
        f"container: a {type(container).__name__} is neither an nnx.Optimizer nor a TrainState"
    )


def _run(
    optimizer: Any,
    module: Any,
    arrange: Arrangement,
    steps: int | None,
    keywords: Mapping[str, Any],
) -> Run:
    """The translated optimizer, its state, and the parameters that it updates."""
    params = arrange.weights(module)
    keywords = {**keywords, "arrange": arrange, "names": module}
    tx = translate(optimizer, **keywords)
    state = translate_state(optimizer, params, steps=steps, **keywords)
    return Run(tx, state, params)


def _taken(optimizer: Any, steps: int | None) -> int:
    """How many steps torch has taken; 0 for SGD without `steps`, because SGD does not count."""
    return max(
        (int(of["step"]) for of in optimizer.state.values() if "step" in of), default=steps or 0
    )
