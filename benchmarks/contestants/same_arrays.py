"""`python -m benchmarks.contestants.same_arrays RULE TREE ROUNDS`: times ours and optax in turn.

Both run in one process and hand the same arrays to each other, which works because their states
have the same structure. So neither can have faster memory.
"""

import json
import sys
import time

import jax
import optax

import jaxopt_notes.optimizers as notes
from benchmarks.contestants.update_jax import arrays, of_library

TURN = 0.15  # seconds, about


def by_turns(rule: str, tree: str, rounds: int) -> dict[str, list[float]]:
    """Seconds per step, for each turn."""
    params, grads = arrays(tree)
    init, _ = of_library(optax, rule)
    state = init(params)
    programs = {}
    for name, library in (("ours", notes), ("optax", optax)):
        step = jax.jit(of_library(library, rule)[1], donate_argnums=(0, 1))
        programs[name] = step.lower(params, state, grads).compile()

    def run(name: str, steps: int) -> float:
        nonlocal params, state
        start = time.perf_counter()
        for _ in range(steps):
            params, state = programs[name](params, state, grads)
        jax.block_until_ready((params, state))
        return time.perf_counter() - start

    run("ours", 2)
    steps = max(1, round(TURN / (run("optax", 4) / 4)))
    taken: dict[str, list[float]] = {name: [] for name in programs}
    for turn in range(rounds):
        for name in list(programs)[:: 1 if turn % 2 else -1]:
            taken[name].append(run(name, steps) / steps)
    return taken


if __name__ == "__main__":
    print(json.dumps(by_turns(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
