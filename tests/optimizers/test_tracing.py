"""Inside jit, what leaves have in common is traced once, and the program stays what it was."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_notes import adagrad, adam
from jaxopt_notes.optimizers._tracing import BLOCK, FEWEST, map_traced


def calls(jaxpr: Any) -> list[Any]:
    return [eqn for eqn in jaxpr.eqns if eqn.primitive.name in ("jit", "pjit")]


def test_many_leaves_alike_take_few_calls_and_each_keeps_its_place() -> None:
    n = FEWEST + BLOCK + 3
    leaves = [np.full(4, i, np.float32) for i in range(n)] + [np.ones((2, 2), np.float32)]
    rows = [(leaves[i],) for i in np.random.default_rng(0).permutation(len(leaves))]
    triple = map_traced(lambda row: 3 * row[0], called=True)
    jaxpr = jax.make_jaxpr(triple)(rows)
    # Blocks of the leaves alike, the last one shorter, and the leaf of another shape.
    assert len(calls(jaxpr.jaxpr)) == n // BLOCK + 1 + 1
    for (row,), result in zip(rows, jax.jit(triple)(rows), strict=True):
        np.testing.assert_array_equal(result, 3 * row)


def test_few_leaves_alike_are_called_one_by_one() -> None:
    rows = [(jnp.ones(4),)] * (FEWEST - 1)
    jaxpr = jax.make_jaxpr(map_traced(lambda row: -row[0], called=True))(rows)
    assert len(calls(jaxpr.jaxpr)) == len(rows)


def test_leaves_in_blocks_end_at_the_bits_of_leaves_one_by_one() -> None:
    """A leaf's step does not depend on how many others there are."""
    random = np.random.default_rng(1)
    params = [random.normal(size=5).astype(np.float32) for _ in range(FEWEST)]
    optimizer = adam(0.1)
    step = jax.jit(optimizer.update)
    few, rest = params[: BLOCK // 2], params[BLOCK // 2 :]
    updates, state = step(params, optimizer.init(params))
    for some, of in ((few, slice(None, len(few))), (rest[:3], slice(len(few), len(few) + 3))):
        alone, its_state = step(some, optimizer.init(some))
        np.testing.assert_array_equal(alone, updates[of])
        np.testing.assert_array_equal(its_state[0].nu, state[0].nu[of])


def test_no_function_of_jnp_is_traced_as_a_call_of_its_own() -> None:
    """`jnp.where` in AdaGrad's rule is one operation of the rule's program."""
    theta = jnp.ones(3)
    optimizer = adagrad(0.1)
    jaxpr = jax.make_jaxpr(optimizer.update)(theta, optimizer.init(theta))
    (rule,) = calls(jaxpr.jaxpr)
    assert not calls(rule.params["jaxpr"].jaxpr)


def test_a_rule_may_branch_and_loop() -> None:
    def step(row: Any) -> Any:
        doubled = jax.lax.fori_loop(0, 3, lambda _, x: 2 * x, row[0])
        return jax.lax.cond(jnp.sum(doubled) > 0, lambda x: x, lambda x: -x, doubled)

    mapped = jax.jit(map_traced(step, called=True))
    np.testing.assert_array_equal(mapped([(jnp.array([-1.0, 0.5]),)])[0], [8.0, -4.0])
