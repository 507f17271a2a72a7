"""Explains in one line why an optimizer has no equivalent in a framework, and what to do."""

from collections.abc import Iterator, Mapping
from typing import Any

import jax

from jaxopt_notes.microscope.links import link_names

CALLED = {"torch": "torch", "keras": "Keras"}
_CLIP = {
    "torch": "torch clips outside its optimizer: pass the chain without the clipping and its state "
    "without that entry, and call torch.nn.utils.{} before step()",
    "keras": "pass the chain without the clipping and its state without that entry, and set {} on "
    "the Keras optimizer",
}
# Link of a chain → what it does, torch's function, Keras' argument.
_CLIPPING: Mapping[str, tuple[str, str, str]] = {
    "clip": ("it clips each gradient (optax.clip)", "clip_grad_value_", "clipvalue="),
    "clip_by_global_norm": (
        "it clips the gradients' global norm (optax.clip_by_global_norm)",
        "clip_grad_norm_",
        "global_clipnorm=",
    ),
    "clip_grad_norm": (
        "it clips the gradients' global norm (clip_grad_norm)",
        "clip_grad_norm_",
        "global_clipnorm=",
    ),
    "clipping": (
        "it clips each gradient (clip_grad_value)",
        "clip_grad_value_",
        "clipvalue=",
    ),
    "clip_by_block_rms": (
        "it clips each gradient's root mean square (optax.clip_by_block_rms)",
        "clip_grad_norm_ on each parameter",
        "clipnorm=",
    ),
}
_INSIDE = "pass the optimizer inside it, with its part of the state ({})"
# Class of state → what its optimizer does, and what to do.
_WRAPPERS: Mapping[str, tuple[str, str]] = {
    "MultiStepsState": (
        "it gathers the gradients of several steps (optax.MultiSteps)",
        f"{_INSIDE.format('state.inner_opt_state')} and gather them in the training loop",
    ),
    "ApplyIfFiniteState": (
        "it leaves out steps with infinite gradients (optax.apply_if_finite)",
        f"{_INSIDE.format('state.inner_state')} and leave such steps out in the training loop",
    ),
    "LookaheadState": ("it keeps slow weights (optax.lookahead)", "pass the fast optimizer alone"),
    "HandoverState": (
        "it hands over from one optimizer to another (handover)",
        "pass the one that runs now, with its part of the state (state.first or state.second)",
    ),
    "WatchState": ("it is wrapped in watch", _INSIDE.format("state.inner")),
    "SAMState": ("it steps twice for each update (SAM)", "pass the outer optimizer alone"),
    "ReduceLROnPlateauState": (
        "it watches the loss (reduce_on_plateau)",
        "pass the chain without it, and scale the learning rate by its state.scale",
    ),
}


class UnlikeError(Exception):
    """The optimizer has parts that the framework's optimizers do not have.

    Attributes:
      what: the parts, as a sentence about the optimizer.
      remedy: what to do; "" if nothing particular helps.
    """

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(what)
        self.what, self.remedy = what, remedy


def reason(error: UnlikeError, optimizer: Any, state: Any, framework: str) -> str:
    """One line: what the framework cannot do, and what the user can do.

    Args:
      error: the finding from the optimizer's steps.
      optimizer: the transformation.
      state: its state.
      framework: "torch" or "keras".
    """
    what, remedy = _known(optimizer, state, framework) or (error.what, error.remedy)
    if not remedy:
        remedy = f"conventions.{framework} has the optimizers that can go there"
    return f"optimizer: has no equivalent in {CALLED[framework]}: {what}; {remedy}"


def _known(optimizer: Any, state: Any, framework: str) -> tuple[str, str] | None:
    """The explanation and the remedy that its links or the classes of its state give."""
    for name in link_names(optimizer):
        if name in _CLIPPING:
            what, function, argument = _CLIPPING[name]
            return what, _CLIP[framework].format(function if framework == "torch" else argument)
    return next((_WRAPPERS[name] for name in _classes(state) if name in _WRAPPERS), None)


def _classes(state: Any) -> Iterator[str]:
    """The classes of the nodes of a state, outer nodes first."""
    yield type(state).__name__
    children = jax.tree.leaves(state, is_leaf=lambda x: x is not state)
    for child in children:
        if child is not state:
            yield from _classes(child)
