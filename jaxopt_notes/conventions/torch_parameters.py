"""The name, the settings and the state of each parameter of a torch optimizer.

The optimizer holds its parameters. A `state_dict` numbers them, or names them if FSDP or
torch.distributed.checkpoint wrote it.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from jaxopt_notes.conventions.torch_groups import KINDS, Rates, Settings, settings_of
from jaxopt_notes.conventions.torch_schedulers import Stepped
from jaxopt_notes.errors import InputError

# The names of the parameters in order, a list of them for each param group, (name, parameter)
# pairs, {name: parameter}, or the module that has them.
Names = Any


class Parameter(NamedTuple):
    """One parameter of a torch optimizer.

    Attributes:
      name: the user's name for it.
      settings: the settings of its param group.
      state: torch's state of it; empty before its first gradient.
      value: the parameter itself, or a tensor of its shape; None if a state_dict has neither.
      frozen: whether torch gives it no gradient.
    """

    name: Hashable
    settings: Settings
    state: Mapping[str, Any]
    value: Any
    frozen: bool

    @property
    def steps(self) -> int:
        """How many steps it has taken; torch's SGD shows only whether it has taken any."""
        if self.settings.kind == "SGD":
            return int("momentum_buffer" in self.state)
        return int(self.state.get("step", 0))


class Part(NamedTuple):
    """Parameters that share one transformation, because their settings and counts are equal.

    Attributes:
      settings: those of its param groups.
      steps: how many steps its parameters have taken; None if no step depends on that number.
    """

    settings: Settings
    steps: int | None


def is_torch_optimizer(optimizer: Any) -> bool:
    """Whether its class is torch's own and has an equivalent; subclasses may step differently."""
    kind = type(optimizer)
    return kind.__module__.startswith("torch.optim.") and kind.__name__ in KINDS


def holds_param_groups(source: Mapping[Any, Any]) -> bool:
    """Whether a mapping is a torch optimizer's state_dict.

    Raises:
      InputError: it is a training checkpoint that contains a state_dict, or a state_dict in another
        form.
    """
    if "param_groups" in source:
        return True
    if any(str(key).startswith("param_groups.") for key in source):
        raise InputError(
            "the state_dict is flattened: make it with "
            "StateDictOptions(flatten_optimizer_state_dict=False)"
        )
    for key, value in source.items():
        several = isinstance(value, (list, tuple)) and len(value) > 0
        if isinstance(inner := value[0] if several else value, Mapping) and "param_groups" in inner:
            place = f"[{key!r}][0]" if several else f"[{key!r}]"
            raise InputError(f"this holds an optimizer's state_dict: pass checkpoint{place}")
    return False


def parameters_of(
    source: Any, lr: Rates | None, names: Names, run: Stepped | None
) -> list[Parameter]:
    """A torch optimizer's parameters, in the optimizer's order.

    Args:
      source: the torch optimizer, or its `state_dict()`.
      lr: as given to `translate`.
      names: as given to `translate`.
      run: the scheduler that drives the optimizer.

    Raises:
      InputError: a setting, a state or a name has no equivalent here, or is ambiguous.
    """
    live = not isinstance(source, Mapping)
    if not live:
        for key in source.keys() - {"state", "param_groups"}:
            raise InputError(
                f"{key!r} in the state_dict is unknown to torch's optimizers: a wrapper around an "
                "optimizer has no equivalent here"
            )
    groups = source.param_groups if live else source["param_groups"]
    states = source.state if live else source.get("state", {})
    by_group = zip(settings_of(groups, lr, run), groups)
    settings = [s for s, group in by_group for _ in group["params"]]
    keys = [p for group in groups for p in group["params"]]
    if len(states.keys() - set(keys)):
        raise InputError("the state has entries of parameters that are in no param group")
    named, values = _named(groups, names, live)
    parameters = []
    for name, of, key, value in zip(named, settings, keys, keys if live else values):
        state = {slot: x for slot, x in states.get(key, {}).items() if x is not None}
        _check_state(name, of, state)
        slots = [state[slot] for slot in of.slots if slot in state]
        if slots and value is not None and slots[0].shape != value.shape:
            raise InputError(
                f"names has {name!r} of shape {list(value.shape)}, the state_dict "
                f"{list(slots[0].shape)} in its place: pass the torch optimizer"
            )
        value = slots[0] if slots and value is None else value
        if of.kind != "SGD" and "complex" in str(getattr(value, "dtype", "")):
            raise InputError(
                f"parameter {name!r} is complex: torch's {of.kind} treats its real and imaginary "
                "part as two, which has no equivalent here: keep the two parts as real parameters"
            )
        parameters.append(Parameter(name, of, state, value, live and not key.requires_grad))
    steps = counted_steps(parameters)
    if run is not None and steps is not None:
        run.check_steps(steps)
    return parameters


def counted_steps(parameters: Sequence[Parameter]) -> int | None:
    """The steps of the parameters with the most steps; None for SGD, which counts no steps."""
    return max((p.steps for p in parameters if p.settings.kind != "SGD"), default=None)


def check_named(source: Any, parameters: Sequence[Parameter]) -> None:
    """Raises InputError if the parameters are numbered across several param groups.

    A list of parameters would be in the model's order, which seldom equals the groups' order.
    """
    groups = source["param_groups"] if isinstance(source, Mapping) else source.param_groups
    if len(groups) > 1 and all(isinstance(p.name, int) for p in parameters):
        raise InputError(
            f"{len(groups)} param groups without names: pass `arrange`, which says where each "
            "parameter belongs in JAX's tree, or names=module"
        )


def shapes_of(parameters: Sequence[Parameter]) -> dict[Hashable, tuple[int, ...]]:
    """Each parameter's shape."""
    for p in parameters:
        if p.value is None:
            raise InputError(
                f"{p.name!r} has no state, so the state_dict does not show its shape: pass the "
                "torch optimizer"
            )
    return {p.name: tuple(p.value.shape) for p in parameters}


def parts_of(parameters: Sequence[Parameter]) -> tuple[list[Part], dict[Hashable, int]]:
    """The parts of the parameters, and the part of each parameter."""
    parts: list[Part] = []
    part_of = {}
    for p in parameters:
        part = Part(p.settings, p.steps if p.settings.counts else None)
        if part not in parts:
            parts.append(part)
        part_of[p.name] = parts.index(part)
    if not parts:
        raise InputError("the optimizer has no parameters")
    latest = max((p.steps for p in parameters), default=0)
    for settings, steps in parts:
        if settings.scheduled and settings.counts_with_schedule and steps != latest:
            late = next(n for n, i in part_of.items() if parts[i] == (settings, steps))
            term = "lr_decay" if settings.kind == "Adagrad" else "dampening"
            raise InputError(
                f"{late!r} has taken {steps} steps, another parameter {latest}: with {term} and a "
                "schedule for lr this has no equivalent here: pass a number for lr"
            )
    return parts, part_of


def _check_state(name: Hashable, settings: Settings, state: Mapping[str, Any]) -> None:
    """Raises InputError for an unknown or a missing entry."""
    needed = settings.slots if settings.kind == "SGD" else ("step", *settings.slots)
    for entry in state:
        if entry not in needed:
            raise InputError(
                f"{name!r} has {entry!r} in its state, which torch's {settings.kind} with these "
                "settings does not keep: another optimizer has no equivalent here"
            )
    missing = [entry for entry in needed if state and entry not in state]
    if missing:
        raise InputError(
            f"{name!r} has no {missing[0]} in its state, but {', '.join(state)}: "
            f"torch's {settings.kind} with these settings keeps it"
        )
    for slot in settings.slots:
        if state and not hasattr(state[slot], "detach"):
            raise InputError(
                f"{name!r} has {slot} in its state as a {type(state[slot]).__name__}, not a tensor"
            )
    step = state.get("step", 0)
    dtype = str(getattr(step, "dtype", "")).removeprefix("torch.")
    if dtype in ("bfloat16", "float16"):
        raise InputError(
            f"{name!r}: its step is {dtype}, which cannot count far: set "
            "state['step'] to a float32 tensor of the steps that were taken"
        )
    if not (float(step) >= 0 and float(step).is_integer()):
        raise InputError(f"{name!r} has taken {float(step)} steps: it must be a whole number")


def _named(
    groups: Sequence[Mapping[str, Any]], names: Names, live: bool
) -> tuple[list[Hashable], list[Any]]:
    """Each parameter's name, and a tensor of its shape if `names` has one."""
    keys = [p for group in groups for p in group["params"]]
    own = _own_names(groups, keys)
    unknown = [None] * len(keys)
    if names is None:
        return (list(range(len(keys))) if own is None else own), unknown
    pairs, names = pairs_and_names(names)
    if pairs and live:
        return _by_identity(keys, pairs), unknown
    if names and all(isinstance(x, (list, tuple)) for x in names):
        _check_lengths(groups, names)
        names = [name for of in names for name in of]
    else:
        if len(names) != len(keys):
            raise InputError(
                f"names has {len(names)} entries, the optimizer {len(keys)} parameters"
            )
        if len(groups) > 1 and names != own:
            raise InputError(
                "a state_dict has no parameters to match: pass the torch optimizer in its place"
                if pairs
                else f"names is one list for {len(groups)} param groups, whose order may differ: "
                "pass the module, its named_parameters(), or a list for each group"
            )
    _check_order(names, own)
    return list(names), [p for _, p in pairs] or unknown


def _own_names(groups: Sequence[Mapping[str, Any]], keys: Sequence[Any]) -> list[Hashable] | None:
    """The names that the optimizer was given, or the keys of its state_dict."""
    if keys and all(isinstance(key, str) for key in keys):
        return list(keys)
    if all("param_names" in group for group in groups):
        return [name for group in groups for name in group["param_names"]]
    return None


def pairs_and_names(names: Names) -> tuple[list[tuple[str, Any]], list[Any]]:
    """The (name, parameter) pairs, if `names` holds parameters, and the names."""
    if hasattr(names, "named_parameters"):
        names = names.named_parameters()
    names = list(names.items() if isinstance(names, Mapping) else names)
    if names and all(
        isinstance(x, (list, tuple)) and len(x) == 2 and hasattr(x[1], "shape") for x in names
    ):
        return names, [name for name, _ in names]
    return [], names


def _by_identity(keys: Iterable[Any], pairs: Iterable[tuple[str, Any]]) -> list[Hashable]:
    name_of: dict[int, str] = {}
    for name, p in pairs:
        name_of.setdefault(id(p), name)  # a tied parameter gets its first name
    for p in keys:
        if id(p) not in name_of:
            raise InputError(
                f"names lacks a parameter of the optimizer, of shape {list(p.shape)}: pass the "
                "module, or the named_parameters(), that the optimizer was made for"
            )
    return [name_of[id(p)] for p in keys]


def _check_lengths(groups: Sequence[Mapping[str, Any]], names: Sequence[Sequence[Any]]) -> None:
    if len(names) != len(groups):
        raise InputError(f"names has {len(names)} lists, the optimizer {len(groups)} param groups")
    for i, (group, of) in enumerate(zip(groups, names)):
        if len(group["params"]) != len(of):
            raise InputError(
                f"names has {len(of)} names for param group {i}, which has {len(group['params'])}"
            )


def _check_order(names: Sequence[Any], own: Sequence[Any] | None) -> None:
    """Raises InputError if the optimizer's own names, up to a prefix, come in another order."""

    def alike(a: Any, b: Any) -> bool:
        one, other = f".{a}", f".{b}"
        return one.endswith(other) or other.endswith(one)

    own = own or ()
    for name, known in zip(names, own):
        elsewhere = name in own or (
            not alike(name, known) and any(alike(name, other) for other in own)
        )
        if name != known and elsewhere:
            raise InputError(
                f"names has {name!r} where the optimizer has {known!r}: put the names in the "
                "optimizer's order, or pass the module"
            )
