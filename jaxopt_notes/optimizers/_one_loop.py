"""One pass over memory for a whole update, by XLA's multi-output fusion on a CPU (opt-in).

XLA's CPU backend writes one loop for each output: Adam reads and writes 40 bytes per parameter (for
m, then v, then θ) where 28 would do. A backend option fuses outputs that read the same inputs.
`update_in_one_loop` writes the update so that all outputs read the same inputs: the rule gives the
new state, and the same rule on copies gives the new parameters. The compiler cannot recognise the
copies as copies.

    allow_one_loop()                                       # first thing in the program
    params, state = update_in_one_loop(optimizer, grads, state, params)  # inside your jit

It pays for elementwise optimizers and for leaves of a million elements or more. Without the option
the copies would make an update several times slower. So the plain update runs wherever a test
program shows no fusion, on other backends too. XLA does not document the option; if XLA removes it,
the plain update runs.
"""

import functools
import logging
import os
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxopt_notes.optimizers.engine import is_cut

_FLAG = "--xla_backend_extra_options"
_OPTION = "xla_cpu_use_multi_output_fusion"
_log = logging.getLogger(__name__)


def allow_one_loop() -> None:
    """Asks XLA for multi-output fusion, through the environment variable XLA_FLAGS.

    Call it before the first JAX computation: XLA reads the variable once, when the backend starts.
    The option affects everything that the process compiles for a CPU.

    >>> allow_one_loop()
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if _FLAG in flags:
        _log.debug("XLA_FLAGS sets %s already; left as it is", _FLAG)
        return
    os.environ["XLA_FLAGS"] = f"{flags} {_FLAG}={_OPTION}".strip()


@functools.cache
def one_loop_works() -> bool:
    """Whether XLA fuses two outputs here; compiles one small program to find out.

    >>> isinstance(one_loop_works(), bool)
    True
    """
    if jax.default_backend() != "cpu" or _OPTION not in os.environ.get("XLA_FLAGS", ""):
        return False
    x = jax.ShapeDtypeStruct((4096,), jnp.float32)
    compiled = jax.jit(lambda x, y: (x * 2 + y, x * 3 - y)).lower(x, x).compile()
    fused = "get-tuple-element" in (compiled.as_text() or "")
    if not fused:
        _log.debug("%s has no effect on this version of XLA", _OPTION)
    return fused


def update_in_one_loop(
    optimizer: optax.GradientTransformation, grads: Any, state: Any, params: Any, **extra: Any
) -> tuple[Any, Any]:
    """`optimizer.update` and `optax.apply_updates`; one loop per leaf where `one_loop_works()`.

    Args:
      optimizer: an elementwise optimizer; others give correct results, but compute their update
        twice.
      grads: as `optimizer.update` takes them.
      state: the optimizer's state.
      params: the parameters.
      **extra: further arguments of `optimizer.update`.

    Returns:
      (params, state) after the step.

    >>> import jax.numpy as jnp
    >>> from jaxopt_notes import sgd
    >>> theta = jnp.array([1.0, 2.0])
    >>> print(update_in_one_loop(sgd(0.5), theta, sgd(0.5).init(theta), theta)[0])
    [0.5 1. ]
    """
    optimizer = optax.with_extra_args_support(optimizer)
    updates, new_state = optimizer.update(grads, state, params, **extra)
    if one_loop_works():
        grads, state, params = _unrecognised((grads, state, params))
        updates, _ = optimizer.update(grads, state, params, **extra)
    return optax.apply_updates(params, updates), new_state


def _unrecognised(tree: Any) -> Any:
    """The values times a 1 that the compiler cannot know; otherwise it would merge the copies."""
    # Reading a single element of a sharded array would move data between devices.
    floats = [x for x in jax.tree.leaves(tree) if _is_float(x) and x.size and not is_cut(x)]
    if not floats:
        return tree
    sign = jnp.signbit(floats[0].real.ravel()[0]).astype(jnp.int32)
    one = jnp.where(sign > 1, 2.0, 1.0)
    return jax.tree.map(lambda x: x * one.astype(x.dtype) if _is_float(x) else x, tree)


def _is_float(x: Any) -> bool:
    return jnp.issubdtype(x.dtype, jnp.inexact)
