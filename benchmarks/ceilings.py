"""`python -m benchmarks.ceilings`: the most that this device can do, measured by plain programs."""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from benchmarks import machine, report
from benchmarks.command import benchmark_parser, guarded, out_folder, whole_number
from benchmarks.harness import Measured
from jaxopt_notes.command import run_as_process

CHAIN = 64  # dependent kernels in one program


class Peak(NamedTuple):
    """A card's bytes and FLOP a second by NVIDIA's data sheet, without sparsity."""

    bandwidth: float
    float32: float
    tf32: float


# A part of the device's name → its figures. The H100 is the SXM version.
PEAKS = {
    "H100 80GB HBM3": Peak(3.35e12, 67e12, 494.5e12),
    "H200": Peak(4.8e12, 67e12, 494.5e12),
}
COPY, FLOAT32, TF32 = "copy, x · c in place", "product, float32", "product, default precision"
EMPTY, LAUNCH = "a program of one addition, called", f"a kernel of a program of {CHAIN}"
HOW = (
    "copy: bytes read plus bytes written. product: two square matrices of random numbers; the "
    "default precision on an NVIDIA card is TF32. addition: two numbers. Last row: the time of a "
    f"program of {CHAIN} chained products of 16×16 matrices, divided by {CHAIN}. Peak: NVIDIA's "
    "data sheet, without sparsity."
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    parser = benchmark_parser("ceilings", "Measure this device's peak speed.")
    parser.add_argument(
        "--rounds",
        type=int,
        metavar="N",
        help="rounds in which each is timed (default: 10; --quick: 3)",
    )
    return guarded(parser, argv, _run)


def _run(args: argparse.Namespace) -> None:
    out, rounds = out_folder(args), args.rounds
    rounds = whole_number("--rounds", (3 if args.quick else 10) if rounds is None else rounds)
    here = machine.facts()
    print(machine.header(here))
    size, side = (2**22, 512) if args.quick else (2**28, 8192)
    if here["device"]["platform"] == "cpu" and not args.quick:
        size, side = 2**25, 2048
    measurements = measure(size, side, rounds)
    print(f"\n{table(measurements, peak(here))}\n\n{HOW}")
    value = {"how": HOW, "peak": peak(here), "ceilings": report.as_json(measurements)}
    there = {name: (m.spread(), "rate" in m.samples) for name, m in measurements.items()}
    panel = report.Panel(
        "time of one", "ms", list(there), {"": [s and s.times(1e3) for s, _ in there.values()]}
    )
    print(report.write(out, here, "ceilings", value, [panel._replace(logarithmic=True)]))


def peak(here: dict[str, Any]) -> Peak | None:
    """The card's figures by its data sheet; None for an unknown card."""
    kind = here["device"]["kind"]
    return next((figures for name, figures in PEAKS.items() if name in kind), None)


def measure(size: int, side: int, rounds: int) -> dict[str, Measured]:
    """Times copies of `size` float32 numbers, products of matrices of `side` rows, and launches."""
    import jax
    import jax.numpy as jnp

    def product(n: int) -> Any:
        return jax.random.normal(jax.random.key(0), (n, n), jnp.float32) / n**0.5

    def chain(x: Any, a: Any) -> Any:
        for _ in range(CHAIN):
            x = jnp.matmul(x, a, precision="highest")
        return x

    def multiply(precision: str | None) -> Callable[[Any, Any], Any]:
        return lambda x, a: jnp.matmul(x, a, precision=precision)

    def add(name: str, step: Callable[..., Any], x: Any, c: Any, work: float, per: int = 1) -> None:
        seconds = _seconds(jax.jit(step, donate_argnums=0), x, c, rounds, jax.block_until_ready)
        measurements[name] = Measured({"seconds": [s / per for s in seconds]})
        if work:
            measurements[name].samples["rate"] = [work / s for s in seconds]

    measurements: dict[str, Measured] = {}
    add(COPY, lambda x, c: x * c, jnp.ones(size), jnp.float32(0.9999), 8.0 * size)
    matrix, small = product(side), product(16)
    add(FLOAT32, multiply("highest"), product(side), matrix, 2.0 * side**3)
    add(TF32, multiply(None), product(side), matrix, 2.0 * side**3)
    add(EMPTY, lambda x, c: x + c, jnp.zeros([]), jnp.zeros([]), 0)
    add(LAUNCH, chain, product(16), small, 0, per=CHAIN)
    return measurements


def _seconds(
    call: Callable[..., Any], x: Any, c: Any, rounds: int, wait: Callable[[Any], Any]
) -> list[float]:
    """Seconds per call in each round; calls follow each other without waiting."""
    x = wait(call(x, c))
    start = time.perf_counter()
    x = wait(call(x, c))
    calls = max(3, min(1000, round(0.1 / (time.perf_counter() - start))))
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(calls):
            x = call(x, c)
        wait(x)
        taken.append((time.perf_counter() - start) / calls)
    return taken


def table(measurements: dict[str, Measured], best: Peak | None) -> str:
    """A table with a row for each program."""
    peaks = dict(zip((COPY, FLOAT32, TF32), best or ()))
    rows = []
    for name, m in measurements.items():
        time_, rate = m.spread(), m.samples.get("rate")
        middle = statistics.median(rate) if rate else None
        unit = 1e9 if name == COPY else 1e12
        share = middle and name in peaks and f"{middle / peaks[name]:.0%}"
        rows.append(
            [
                name,
                report.between(time_ and time_.times(1e6)),
                f"{report.number(middle / unit)} {'GB/s' if name == COPY else 'TFLOP/s'}"
                if middle
                else report.NOTHING,
                share or report.NOTHING,
            ]
        )
    return report.table(["program", "µs", "a second", "of the peak"], rows)


if __name__ == "__main__":
    run_as_process(main)
