"""Runs settings and mutants against the oracles, and judges."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

from jaxopt_notes import __version__
from jaxopt_notes.verification import (
    frameworks,
    oracle_keras,
    oracle_tensorflow,
    oracle_torch,
    problem,
)
from jaxopt_notes.verification.mutants import Mutant
from jaxopt_notes.verification.settings import Setting

# Units in the last place of a parameter's largest value so far. Results must equal optax's in every
# bit (under jit XLA may fuse the two programs differently). Other oracles round in another order.
# In float64 the limit holds over the whole path, where a formula's error shows from a relative
# 1e-14. In float32 it holds for each step, from the oracle's previous parameters. Against the
# equation our optimizer keeps its own moments, which hold the last 1 / (1 − β) = 10 roundings.
LIMITS = {
    ("optax", "outside"): 0.0,
    ("optax", "inside"): 4.0,
    ("way", "float64"): 64.0,
    ("step", "float32"): 8.0,
    ("equation", "float32"): 16.0,
    ("powers", "float32"): 384.0,
}
DTYPES = {
    "optax": ("float32", "float64", "bfloat16"),
    "torch": ("float32", "float64"),
    "keras": ("float32", "float64"),
    "tensorflow": ("float32", "float64"),
    "equation": ("float32", "float64"),
}
QUICK = {
    "optax": ("float32",),
    "torch": ("float64",),
    "keras": ("float64",),
    "tensorflow": ("float64",),
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
        """Whether the two differ by more than the limit."""
        return self.verdict == "OUT"


class Caught(NamedTuple):
    """One mutant: how far it went from each oracle, in units in the last place."""

    optimizer: str
    error: str
    distances: dict[str, float]
    verdict: str

    @property
    def out(self) -> bool:
        """Whether no oracle detected the mutant."""
        return self.verdict == "MISSED"


def installed() -> dict[str, str | None]:
    """The version of each oracle that is a package; None where it is not installed."""
    return {name: version_of(name) for name in ("optax", "torch", "keras", "tensorflow")}


def version_of(package: str) -> str | None:
    """The installed version, if need be of a CPU-only build."""
    for name in (package, f"{package}-cpu"):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None


def limits(oracle: str, dtype: str, setting: Setting) -> tuple[float, float]:
    """The limits of our distance from the oracle, outside jit and inside."""
    if oracle == "optax":
        return LIMITS["optax", "outside"], LIMITS["optax", "inside"]
    what = "step" if dtype == "float32" else "way"
    if dtype == "float32" and _powers_differ(oracle, setting):
        what = "powers"
    elif (oracle, dtype) in LIMITS:
        what = oracle
    return LIMITS[what, dtype], LIMITS[what, dtype]


def _powers_differ(oracle: str, setting: Setting) -> bool:
    """Whether β^t is not to a few units the same number in ours and the oracle, in float32.

    optax and Keras take a power of the rounded β, and so does ours for them; torch works in
    float64, and so does ours for it. β is off by up to eps / 4, β^t by t eps / 4 and, as a power is
    rounded too, by as much again. At first 1 − β^t is near t (1 − β): off by eps / 2 / (1 − β) of
    itself, its root and with it Adam's step by half of that, which is 250 units for β2 = 0.999.
    TensorFlow multiplies β^t up, rounding each time, and takes 1 − β of the rounded β too: 125
    units on its side. An average that starts from E_0 holds E_0 β^t: its root is off by up to 0.6
    units more after each step.
    """
    terms = frameworks.terms(setting.name, setting.keywords)
    if oracle == "tensorflow":
        return "β2" in terms
    rounded = "β2" in terms and setting.framework != "torch"
    return oracle == "equation" and (rounded or terms.get("E0", 0.0) > 0)


def path_of(oracle: str, setting: Setting, steps: int, dtype: str) -> problem.Path:
    """The path of the oracle."""
    if oracle == "optax":
        return problem.path(setting.build_optax(steps), steps, dtype)
    rate, keywords = setting.rate(steps), setting.keywords
    if oracle == "equation":
        return frameworks.path(setting.name, keywords, rate, steps, dtype)
    home: Any = {"torch": oracle_torch, "keras": oracle_keras, "tensorflow": oracle_tensorflow}[
        oracle
    ]
    run: Callable[..., problem.Path] = home.path
    return run(setting.optimizer, keywords, rate, steps, dtype)


def check(
    settings: Sequence[Setting],
    oracles: Sequence[str],
    dtypes: Mapping[str, Sequence[str]],
    steps: int,
) -> Iterator[Row]:
    """The rows of the certificate; `dtypes` has the dtypes for each oracle."""
    present = installed() | {"equation": ""}
    for setting in settings:
        asked = [oracle for oracle in setting.oracles if oracle in oracles]
        for dtype in DTYPES["optax"]:
            able = [o for o in asked if dtype in dtypes[o] and present[o] is not None]
            yield from _rows(setting, able, dtype, steps)
        for oracle in asked:
            if present[oracle] is None and dtypes[oracle]:
                reason = f"skipped: {oracle} is not installed (jaxopt-notes[{oracle}])"
                yield Row(setting.label, oracle, "", None, None, reason)


def _rows(setting: Setting, oracles: Sequence[str], dtype: str, steps: int) -> Iterator[Row]:
    if not oracles:
        return
    whole_way = cache(lambda jit: problem.path(setting.build(steps), steps, dtype, jit=jit))
    for oracle in oracles:
        there = path_of(oracle, setting, steps, dtype)
        eager = there
        if oracle == "optax":
            eager = problem.path(setting.build_optax(steps), steps, dtype, jit=False)
        if dtype == "float32" and oracle != "optax":
            outside, inside = _each_step(oracle, setting, there, dtype)
        else:
            outside, inside = whole_way(False), whole_way(True)
        far = problem.ulps(outside, eager, dtype), problem.ulps(inside, there, dtype)
        allowed = limits(oracle, dtype, setting)
        equal = far[0] <= allowed[0] and far[1] <= allowed[1]
        yield Row(setting.label, oracle, dtype, *far, "equal" if equal else "OUT")


def _each_step(
    oracle: str, setting: Setting, there: problem.Path, dtype: str
) -> list[problem.Path]:
    """Single steps outside jit and inside, from torch's translated state or else from our own."""
    steps = len(next(iter(there.values())))
    states: list[Any] = []
    if oracle == "torch":
        rate, keywords = setting.rate(steps), setting.keywords
        states = oracle_torch.states(setting.optimizer, keywords, rate, steps, dtype)
    ours = setting.build(steps)
    return [problem.each_step(ours, there, dtype, jit=jit, states=states) for jit in (False, True)]


def hunt(mutants: Sequence[Mutant], oracles: Sequence[str], steps: int) -> Iterator[Caught]:
    """Runs each mutant against each oracle, in float64; one oracle is enough to catch it."""
    present = installed() | {"equation": ""}
    for mutant in mutants:
        setting = mutant.setting
        with mutant.in_place():
            wrong = problem.path(setting.build(steps), steps, jit=False)
        asked = [o for o in setting.oracles if o in oracles and present[o] is not None]
        there = {o: path_of(o, setting, steps, "float64") for o in asked}
        far = {o: problem.ulps(wrong, path, "float64") for o, path in there.items()}
        seen = any(distance > limits(o, "float64", setting)[1] for o, distance in far.items())
        yield Caught(setting.label, mutant.error, far, "caught" if seen else "MISSED")


def device() -> dict[str, Any]:
    """The device of this run."""
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
            for name in ("jax", "jaxlib", "optax", "numpy", "torch", "keras", "tensorflow")
        },
    }
