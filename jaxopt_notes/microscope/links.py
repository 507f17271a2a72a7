"""The links of a chain: the transformations passed to `optax.chain`.

optax has no public access to a chain's links. They are read from the closure of the chain's update
function; a chain that stores them differently counts as one link.
"""

from collections.abc import Callable, Mapping
from inspect import getclosurevars, isfunction, signature
from typing import Any, NamedTuple

import optax

Update = Callable[..., tuple[Any, Any]]


class Output(NamedTuple):
    """The output of one link at one step.

    Attributes:
      name: the function that made the link, such as "scale_by_adam".
      updates: the updates that it returned.
      state: its new state.
    """

    name: str
    updates: Any
    state: Any


def link_names(optimizer: optax.GradientTransformation) -> tuple[str, ...]:
    """The names of the links in order; nested chains are opened.

    >>> link_names(optax.chain(optax.clip(1.0), optax.adamw(1e-3)))
    ('clip', 'scale_by_adam', 'add_decayed_weights', 'scale')
    """
    return tuple(_names(optimizer.update))


def run_links(
    optimizer: optax.GradientTransformation, updates: Any, state: Any, params: Any, **extra: Any
) -> list[Output]:
    """Runs the links one after another, as `optimizer.update` does; one output for each.

    Args:
      optimizer: a transformation.
      updates: the gradients.
      state: the optimizer's state.
      params: the parameters, or None.
      **extra: passed on to each link that takes it.
    """
    outputs: list[Output] = []
    _run(optimizer.update, updates, state, params, extra, outputs)
    return outputs


def _run(
    update: Update, updates: Any, state: Any, params: Any, extra: dict[str, Any], out: list[Output]
) -> Any:
    inner = _links_of(update)
    if inner is None:
        updates, state = optax.with_extra_args_support(_transformation(update)).update(
            updates, state, params, **extra
        )
        out.append(Output(_name(update), updates, state))
        return updates
    states = state.values() if isinstance(state, Mapping) else state
    for one, its_state in zip(inner, states, strict=True):
        updates = _run(one, updates, its_state, params, extra, out)
    return updates


def _names(update: Update) -> list[str]:
    inner = _links_of(update)
    if inner is None:
        return [_name(update)]
    return [name for one in inner for name in _names(one)]


def _links_of(update: Update) -> list[Update] | None:
    """The links' update functions; None if it is not a chain."""
    within = _within(update)
    maker = _maker(update)
    if maker == "with_extra_args_support":
        return _links_of(within["tx"].update)
    if maker == "chain" and "update_fns" in within:
        return list(within["update_fns"])
    if maker == "named_chain" and "transforms" in within:
        return [link.update for _, link in within["transforms"]]
    return None


def _name(update: Update) -> str:
    maker = _maker(update)
    if maker == "with_extra_args_support":
        return _name(_within(update)["tx"].update)
    if maker == "leafwise":  # our optimizers share one engine; use the rule's module name
        rule = _within(update)["rule"]
        module: str = getattr(rule, "func", rule).__module__
        return module.rpartition(".")[2].lstrip("_")
    return maker


def _maker(update: Update) -> str:
    """The function that made an update function: "chain" for `chain.<locals>.update_fn`."""
    names = getattr(update, "__qualname__", type(update).__name__).split(".")
    return names[-3] if len(names) > 2 and names[-2] == "<locals>" else names[0]


def _within(update: Update) -> Mapping[str, Any]:
    return getclosurevars(update).nonlocals if isfunction(update) else {}


def _transformation(update: Update) -> optax.GradientTransformation:
    takes_more = any(p.kind is p.VAR_KEYWORD for p in signature(update).parameters.values())
    made = optax.GradientTransformationExtraArgs if takes_more else optax.GradientTransformation
    return made(_no_init, update)


def _no_init(params: Any) -> Any:
    raise NotImplementedError("only the update of a link is run")
