"""Runs settings and mutants against the oracles, and judges."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

from jaxopt_notes import __version__
from jaxopt_notes.verification import books, by_keras, by_torch, problem
from jaxopt_notes.verification.mutants import Mutant
from jaxopt_notes.verification.settings import Setting

# Units in the last place of the largest value that a parameter had. optax must be met in every bit
# (under jit XLA may fuse the two otherwise); torch and Keras round in another order, at each step;
# float64 shows a formula's error from 1e-14 of the way on. In float32 Adam's bias correction is
# off by 1e-5 of itself at first, in optax and so in ours: 60 units from the written equation.
LIMITS = {
    ("optax", "outside"): 0.0,
    ("optax", "inside"): 4.0,
    ("torch", ""): 64.0,
    ("keras", ""): 64.0,
    ("equation", "float64"): 64.0,
    ("equation", "float32"): 128.0,
}
DTYPES = {
    "optax": ("float32", "float64", "bfloat16"),
    "torch": ("float32", "float64"),
    "keras": ("float32", "float64"),
    "equation": ("float32", "float64"),
}
QUICK = {
    "optax": ("float32",),
    "torch": ("float64",),
    "keras": ("float64",),
    "equation": ("float64",),
}


class Row(NamedTuple):
    """One line of the certificate; distances in units in the last place, None where skipped."""

    setting: str
    oracle: str
    dtype: str
    outside_jit: float | None
    inside_jit: float | None
    verdict: str

    @property
    def out(self) -> bool:
        """The two are not equal."""
        return self.verdict == "OUT"


class Caught(NamedTuple):
    """One mutant: how far it went from each oracle, in units in the last place."""

    optimizer: str
    error: str
    distances: dict[str, float]
    verdict: str

    @property
    def out(self) -> bool:
        """Nobody saw it."""
        return self.verdict == "MISSED"


def installed() -> dict[str, str | None]:
    """The version of each oracle that is a package; None where it is not installed."""
    return {name: version_of(name) for name in ("optax", "torch", "keras")}


def version_of(package: str) -> str | None:
    """The installed version."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def limits(oracle: str, dtype: str) -> tuple[float, float]:
    """How far ours may be from the oracle, outside jit and inside."""
    if oracle == "optax":
        return LIMITS["optax", "outside"], LIMITS["optax", "inside"]
    limit = LIMITS[oracle, dtype if oracle == "equation" else ""]
    return limit, limit


def path_of(oracle: str, setting: Setting, steps: int, dtype: str) -> problem.Path:
    """Where the oracle goes."""
    if oracle == "optax":
        return problem.path(setting.build_optax(steps), steps, dtype)
    rate, keywords = setting.rate(steps), setting.keywords
    if oracle == "equation":
        return books.path(setting.name, keywords, rate, steps, dtype)
    run: Callable[..., problem.Path] = {"torch": by_torch, "keras": by_keras}[oracle].path
    return run(setting.optimizer, keywords, rate, steps, dtype)


def check(
    settings: Sequence[Setting],
    oracles: Sequence[str],
    dtypes: Mapping[str, Sequence[str]],
    steps: int,
) -> Iterator[Row]:
    """The rows of the certificate; `dtypes` says in which each oracle is asked."""
    present = installed() | {"equation": ""}
    for setting in settings:
        asked = [oracle for oracle in setting.oracles if oracle in oracles]
        for dtype in DTYPES["optax"]:
            able = [o for o in asked if dtype in dtypes[o] and present[o] is not None]
            yield from _rows(setting, able, dtype, steps)
        for oracle in asked:
            if present[oracle] is None and dtypes[oracle]:
                reason = f"skipped: {oracle} is not installed"
                yield Row(setting.label, oracle, "", None, None, reason)


def _rows(setting: Setting, oracles: Sequence[str], dtype: str, steps: int) -> Iterator[Row]:
    if not oracles:
        return
    inside = problem.path(setting.build(steps), steps, dtype)
    outside = problem.path(setting.build(steps), steps, dtype, jit=False)
    for oracle in oracles:
        there = path_of(oracle, setting, steps, dtype)
        eager = there
        if oracle == "optax":
            eager = problem.path(setting.build_optax(steps), steps, dtype, jit=False)
        far = problem.ulps(outside, eager, dtype), problem.ulps(inside, there, dtype)
        allowed = limits(oracle, dtype)
        equal = far[0] <= allowed[0] and far[1] <= allowed[1]
        yield Row(setting.label, oracle, dtype, *far, "equal" if equal else "OUT")


def hunt(mutants: Sequence[Mutant], oracles: Sequence[str], steps: int) -> Iterator[Caught]:
    """Each mutant against each oracle, in float64; caught if one of them sees it."""
    present = installed() | {"equation": ""}
    for mutant in mutants:
        setting = mutant.setting
        with mutant.in_place():
            wrong = problem.path(setting.build(steps), steps, jit=False)
        asked = [o for o in setting.oracles if o in oracles and present[o] is not None]
        there = {o: path_of(o, setting, steps, "float64") for o in asked}
        far = {o: problem.ulps(wrong, path, "float64") for o, path in there.items()}
        seen = any(distance > limits(o, "float64")[1] for o, distance in far.items())
        yield Caught(setting.label, mutant.error, far, "caught" if seen else "MISSED")


def device() -> dict[str, Any]:
    """Where this ran."""
    import platform

    import jax

    first = jax.devices()[0]
    return {
        "device": f"{first.device_kind} ({first.platform})",
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {"jaxopt_notes": __version__}
        | {
            name: version_of(name) or "not installed"
            for name in ("jax", "jaxlib", "optax", "numpy", "torch", "keras")
        },
    }
