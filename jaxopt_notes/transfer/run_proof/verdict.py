"""The result of `prove`, as text and as files."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxopt_notes.verification import certificate

# How far one step may differ from torch, in units in the last place. Two correct implementations
# with equal orders of operations stay within 8; with optax's own bias correction in float32, within
# 384.
STEP_LIMIT, ROUNDING_LIMIT = 8.0, 384.0
# In float64 a step may have this relative error, because a learning rate that is kept in float32
# has a relative error of 6e-8.
SHARE_LIMIT = 1e-6
WAY_LIMIT = 1e-12  # over all steps, for float64 parameters
# Gradients of two programs for one network, relative to the largest element.
GRADIENT_LIMITS = {"float64": 1e-9, "float32": 1e-3}
OTHER_GRADIENTS = 0.05  # for 16-bit dtypes


class Departure(NamedTuple):
    """The step at which a parameter departs from torch.

    Attributes:
      parameter: its name in JAX.
      step: the step, counted from 1.
      units: how far that one step differs, in units in the last place.
      share: the difference relative to the step, in float64.
    """

    parameter: str
    step: int
    units: float
    share: float

    def __str__(self) -> str:
        return (
            f"{self.parameter} first differs from torch at step {self.step}, by "
            f"{certificate.units(self.units)} units in the last place; in float64 by "
            f"{self.share:.2g} of the step's length" + self._infinite()
        )

    def _infinite(self) -> str:
        if np.isfinite(self.units):
            return ""
        return " (NaN or infinite on one side, as a learning rate after total_steps= is)"


class Drift(NamedTuple):
    """The distance of one parameter from torch, for each step (N,).

    Attributes:
      step: the distance after one step from torch's parameters, in units in the last place of the
        largest value of the element so far.
      way: the distance after all steps so far, in the same units.
      share: the distance after one step in float64, relative to the step.
    """

    step: np.ndarray
    way: np.ndarray
    share: np.ndarray


class Row(NamedTuple):
    """One parameter of the certificate."""

    parameter: str
    in_torch: str
    step: float
    way: float
    share: float
    leaves_at: int | None

    def cells(self) -> tuple[str, ...]:
        """The cells of the row in a table."""
        units = certificate.units(self.step), certificate.units(self.way)
        left = "–" if self.leaves_at is None else str(self.leaves_at)
        return (self.parameter, self.in_torch, *units, f"{self.share:.1g}", left)


class Proof(NamedTuple):
    """Whether a run continues in JAX as in torch.

    Attributes:
      equal: whether the start, the steps, and the gradients if compared, are equal up to rounding.
      first: the first departure from torch; None if there is none.
      departures: the departure of each parameter that departs from torch, in order of steps.
      drift: name in JAX → distance from torch.
      gradients: name in JAX → the distance of the two gradients at each step, relative to the
        largest element (N,); empty without losses.
      start: the differences in weights and dtypes before the first step.
      hints: the differences of the states before the first step, if the states can be compared.
      names: name in JAX → name in torch.
      about: the setting: steps, dtype, optimizer, versions.

    >>> import torch  # doctest: +SKIP
    >>> from jaxopt_notes.conventions import translate
    >>> from jaxopt_notes.transfer import prove
    >>> weight = torch.nn.Parameter(torch.ones(20))  # doctest: +SKIP
    >>> there = torch.optim.SGD([weight], lr=0.1)  # doctest: +SKIP
    >>> here = translate(there)  # doctest: +SKIP
    >>> params = [np.ones(20, np.float32)]
    >>> proof = prove(there, here, here.init(params), params, steps=3)  # doctest: +SKIP
    >>> proof.equal, proof.first, proof.departures  # doctest: +SKIP
    (True, None, ())
    """

    equal: bool
    first: Departure | None
    departures: tuple[Departure, ...]
    drift: dict[str, Drift]
    gradients: dict[str, np.ndarray]
    start: tuple[str, ...]
    hints: tuple[str, ...]
    names: dict[str, str]
    about: dict[str, Any]

    @property
    def units(self) -> float:
        """The largest distance after one step, in units in the last place."""
        return _largest(drift.step for drift in self.drift.values())

    def __str__(self) -> str:
        return "\n".join([self._verdict(), *(f"  {line}" for line in self._details())])

    def write(self, folder: str | Path) -> tuple[Path, Path]:
        """Writes proof.json and proof.md.

        Args:
          folder: an existing folder.

        Returns:
          The two paths.

        Raises:
          OSError: a file cannot be written.
        """
        content = {
            "verdict": self._verdict(),
            "equal": self.equal,
            **self.about,
            "start": self.start,
            "hints": self.hints,
            "departures": [departure._asdict() for departure in self.departures],
            "parameters": [row._asdict() for row in self._rows()],
            "step_by_step": {n: [float(f"{x:.3g}") for x in d.step] for n, d in self.drift.items()},
        }
        return certificate.write_pair(Path(folder), "proof", content, self._markdown())

    def _verdict(self) -> str:
        if not self.equal:
            return f"NOT equal: {self._findings()[0]}"
        return (
            f"equal: {self.about['steps']} steps of {len(self.names)} parameters in "
            f"{self.about['dtype']}, each at most {certificate.units(self.units)} units in the "
            "last place from torch's"
        )

    def _findings(self) -> list[str]:
        """A sentence on each thing that is not equal, the earliest first."""
        start = [f"at the start, {sentence}" for sentence in self.start]
        first = [] if self.first is None else [str(self.first)]
        gradients = [
            f"the gradient of {name!r} differs from torch's at step {k + 1}, by {far[k]:.2g} of "
            "its largest element"
            for name, far in self.gradients.items()
            if (k := unlike(far, self.about["dtype"])) is not None
        ]
        return [*start, *first, *gradients]

    def _details(self) -> list[str]:
        """The lines below the verdict."""
        lines = self._findings()[1:]
        if not self.equal and self.about["scheduler_missing"]:
            lines.append(
                "a scheduler drives torch's optimizer: pass scheduler= to step it here too"
            )
        lines += [f"in the state at the start, {hint}" for hint in self.hints]
        if len(self.departures) > 1:
            others = [f"{each.parameter} at step {each.step}" for each in self.departures[1:]]
            lines.append(f"also {_listed(others)}")
        if self.equal and self.units > STEP_LIMIT:
            lines.append(
                f"distances of more than {STEP_LIMIT:.0f} units come from a different order of "
                f"operations in {self.about['dtype']}: in float64 each step agrees to "
                f"{self._share():.2g} of its length"
            )
        if self.drift:
            way = _largest(drift.way for drift in self.drift.values())
            lines.append(
                f"over all steps together: {certificate.units(way)} units in the last place"
            )
        if self.gradients:
            worst = _largest(self.gradients.values())
            lines.append(f"gradients: differ by at most {worst:.1g} of their largest element")
        if self.about["constant_rates"]:
            lines.append(
                "the scheduler changed no learning rate in these steps; pass more steps to reach "
                "its next change"
            )
        return lines

    def _share(self) -> float:
        return _largest(drift.share for drift in self.drift.values())

    def _rows(self) -> list[Row]:
        left = {departure.parameter: departure.step for departure in self.departures}
        return [
            Row(
                name,
                self.names[name],
                _top(far.step),
                _top(far.way),
                _top(far.share),
                left.get(name),
            )
            for name, far in self.drift.items()
        ]

    def _markdown(self) -> list[str]:
        head = ("parameter", "in torch", "one step", "all steps", "share of a step", "differs at")
        return [
            "# Proof on a checkpoint",
            "",
            f"{self._verdict()}. {certificate.where(self.about)}",
            "",
            *(f"- {line}" for line in self._details()),
            "",
            "Each distance is the largest of all steps. One step: each step starts from torch's "
            "parameters. All steps: the path is our own from the start. Both are in units in the "
            "last place of the largest value that an element has had so far. Share of a step: one "
            "step in float64, relative to its length.",
            "",
            *certificate.table(head, (row.cells() for row in self._rows())),
        ]


def judged(drift: dict[str, Drift], dtype: str) -> tuple[Departure, ...]:
    """The departure of each parameter that departs from torch, in order of steps."""
    departures = []
    for name, far in drift.items():
        off = ~(far.share <= SHARE_LIMIT)
        if dtype == "float64":
            off |= ~(far.way * np.finfo(np.float64).eps <= WAY_LIMIT)
        else:
            off |= ~(far.step <= ROUNDING_LIMIT)
        if (k := _first(off)) is not None:
            departures.append(Departure(name, k + 1, float(far.step[k]), float(far.share[k])))
    return tuple(sorted(departures, key=lambda each: (each.step, -each.share)))


def unlike(distances: np.ndarray, dtype: str) -> int | None:
    """The first step, from 0, at which rounding cannot explain two gradients' distance."""
    return _first(~(distances <= GRADIENT_LIMITS.get(dtype, OTHER_GRADIENTS)))


def _first(off: np.ndarray) -> int | None:
    return int(np.argmax(off)) if off.any() else None


def _largest(of: Iterable[np.ndarray]) -> float:
    return max(map(_top, of), default=0.0)


def _top(of: np.ndarray) -> float:
    return float(of.max(initial=0.0))


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return shown + (f" and {len(names) - 5} more" if len(names) > 5 else "")
