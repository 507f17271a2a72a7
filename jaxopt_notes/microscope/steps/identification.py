"""`identify`: finds the equation and the numbers that explain an optimizer's steps."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from jaxopt_notes.errors import InputError
from jaxopt_notes.microscope.steps import behaviours, equation_text, known, probes, rates
from jaxopt_notes.microscope.steps.families import Array, directions
from jaxopt_notes.microscope.steps.finding import Finding
from jaxopt_notes.microscope.steps.fitting import Fit
from jaxopt_notes.microscope.steps.probes import Laboratory, Record
from jaxopt_notes.microscope.steps.rounding import coarse_weights
from jaxopt_notes.microscope.steps.search import Clues, look, search
from jaxopt_notes.microscope.steps.steppers import Stepper

DTYPES = ("float64", "float32")


class Identification(NamedTuple):
    """The result of `identify`.

    Attributes:
      known: whether an equation of the family explains every step up to rounding.
      family: its usual name; for an unknown optimizer, its similarities and differences.
      equation: one step, one line for each computed value; empty if unknown.
      hyperparameters: by optax's argument names.
      conventions: the frameworks with this equation, and behaviour in which correct optimizers
        differ.
      deviations: departures from every known convention, one sentence each.
      undecided: questions that the steps cannot decide.
      not_examined: behaviour that was not examined.

    >>> identification = Identification(True, "SGD", "θ ← θ − α g", {"α": 0.1}, (), (), (), ())
    >>> print(identification)
    SGD
        θ ← θ − α g
        α = 0.1
    """

    known: bool
    family: str
    equation: str
    hyperparameters: dict[str, float]
    conventions: tuple[str, ...]
    deviations: tuple[str, ...]
    undecided: tuple[str, ...]
    not_examined: tuple[str, ...]

    def __str__(self) -> str:
        lines = [self.family if self.known else f"unknown: {self.family}"]
        lines += [f"    {line}" for line in self.equation.splitlines()]
        lines += [f"    {name} = {value:.9g}" for name, value in self.hyperparameters.items()]
        for title, sentences in (
            ("convention", self.conventions),
            ("DEVIATION", self.deviations),
            ("undecided", self.undecided),
            ("not examined", self.not_examined),
        ):
            lines += [f"{title}: {sentence}" for sentence in sentences]
        return "\n".join(lines)


class Examination(NamedTuple):
    """An identification with its evidence.

    Attributes:
      identification: the identification of the optimizer.
      fit: the equation and its numbers; None for an unknown optimizer.
      record: the ordinary run.
    """

    identification: Identification
    fit: Fit | None
    record: Record


def identify(stepper: Stepper, dtype: str = "float64", claim: str | None = None) -> Identification:
    """Finds the equation and the hyperparameters of an optimizer from its steps alone.

    `identify` chooses the gradients. Parameters have the given `dtype`, and the result explains all
    steps up to that dtype's rounding.

    Args:
      stepper: anything with `start`, `step` and, if it has them, `set_learning_rate`, `save` and
        `load`; see `steppers.Stepper`.
      dtype: "float64" or "float32".
      claim: the convention that it should follow, such as "torch.adamw": deviations are reported
        from this convention (default: from all conventions).

    Raises:
      InputError: the dtype or the claim is unknown, or the stepper cannot step.

    >>> from jaxopt_notes.microscope import stepper
    >>> identification = identify(stepper("optax.sgd", {"learning_rate": 0.1}))
    >>> identification.equation, identification.hyperparameters
    ('θ ← θ − α g', {'learning_rate': 0.1})
    """
    return examine(stepper, dtype, claim).identification


def examine(stepper: Stepper, dtype: str = "float64", claim: str | None = None) -> Examination:
    """`identify`, together with its fit and its record."""
    if dtype not in DTYPES:
        raise InputError(f"dtype {dtype}: choose from {', '.join(DTYPES)}")
    convention = known.claimed(claim) if claim else None
    laboratory = Laboratory(stepper, dtype)
    main = laboratory.alone(probes.histories(probes.STEPS, 1), probes.starts())
    if trouble := _trouble(laboratory, main):
        return Examination(_unknown(trouble, dtype), None, main)
    records = [main, laboratory.alone(probes.histories(probes.STEPS, 2), probes.starts())]
    clues = look(main, probes.coupled(laboratory, main))
    if clues.coupled:
        changed = [probes.modulated(r.conditions.gradients) for r in records]
        records = [laboratory.alone(g, probes.starts()) for g in changed]
    if clues.response == "sign" and clues.remembers:
        clues = clues._replace(betas=probes.sign_decays(laboratory))
    explaining, others = search(records, clues)
    if not explaining:
        return Examination(_unknown(_likeness(main, clues, others), dtype), None, main)
    long = behaviours.long_run(laboratory, explaining[0], records)
    explaining[0] = long.fit
    long = long._replace(deviations=(*_infinite(main), *long.deviations))
    identification, fit = _described(laboratory, explaining, convention, long)
    return Examination(identification, fit, main)


def _trouble(laboratory: Laboratory, record: Record) -> str:
    """Why the steps cannot be fitted; empty if they can."""
    if np.isfinite(record.moves).all(0).mean() < 0.5:
        return "most of its parameters become infinite or NaN"
    if not record.moves.any():
        return "it does not move"
    again = laboratory.alone(record.conditions.gradients, probes.starts())
    if not np.array_equal(again.moves, record.moves, equal_nan=True):
        return "the same gradients give other steps the second time"
    return ""


def _infinite(record: Record) -> list[str]:
    """The parameters that become infinite or NaN, which the fit leaves out."""
    kinds = np.array([experiment.kind for experiment in probes.experiments()])
    bad = ~np.isfinite(record.moves).all(0)
    words = sorted({_KINDS[kind] for kind in kinds[bad]})
    return [f"parameters become infinite or NaN for {', '.join(words)}"] if words else []


def _described(
    laboratory: Laboratory,
    explaining: list[Fit],
    convention: known.Convention | None,
    long: Finding,
) -> tuple[Identification, Fit | None]:
    fit = explaining[0]
    findings = [
        rates.new_rates(laboratory, fit),
        long,
        behaviours.several_arrays(laboratory, fit),
        behaviours.matrix(laboratory, fit),
        behaviours.save_and_load(laboratory, fit),
    ]
    dtype = laboratory.dtype.name
    named, inside = findings[0].fit, findings[0].rate_inside
    s = named.structure
    family = equation_text.family(s)
    if reasons := "; ".join(f.unexplained for f in findings if f.unexplained):
        steps = probes.STEPS
        what = f"like {family} in its first {steps} steps; unlike it: {reasons}"
        return _unknown(what, dtype), None
    rate = () if inside is None else (_RATE[inside],)
    climbs = ["it maximizes: the gradient's sign is flipped"] * s.maximize
    remarks = [*climbs, *(sentence for f in findings for sentence in f.remarks)]
    departures = known.departures(s, inside, convention)
    deviations = [sentence for f in findings for sentence in f.deviations]
    undecided = [sentence for f in findings for sentence in f.undecided]
    unseen = [sentence for f in findings for sentence in f.not_examined]
    identification = Identification(
        known=True,
        family=family,
        equation=equation_text.equation(s),
        hyperparameters=equation_text.hyperparameters(named),
        conventions=(*known.conventions(s, inside), *rate, *remarks),
        deviations=(*departures, *_faults(fit), *deviations),
        undecided=(*_equals(explaining), *undecided, *_vague(named)),
        not_examined=(*unseen, *_never_examined(dtype)),
    )
    return identification, named


_RATE = {
    True: "the learning rate is inside the velocity",
    False: "the learning rate is outside the velocity",
}


def _never_examined(dtype: str) -> tuple[str, ...]:
    other = "float32" if dtype == "float64" else "float64"
    return (
        f"gradients below {probes.SCALES[0]:g} or above {probes.SCALES[-1]:g}",
        f"parameters in {other} or lower precision",
    )


def _faults(fit: Fit) -> Iterator[str]:
    """Faults that no convention has."""
    if fit.structure.first_count == 2:
        yield "the first step counts as 2"
    if fit.structure.late:
        yield "each step applies the direction of the step before"
    if min(fit.values.get("λ", 0.0), fit.values.get("αλ", 0.0)) < 0:
        yield "the weight decay has the wrong sign: it makes parameters grow"
    for letter in ("β1", "β2", "μ"):
        if letter in fit.values and (rounded := equation_text.rounded_decimal(fit.values[letter])):
            name, decimal = rounded
            yield f"{letter} is {fit.values[letter]:.8g}: {decimal} rounded to {name}"


def _vague(fit: Fit) -> list[str]:
    """Numbers whose relative uncertainty from rounding is above a millionth."""
    doubts = equation_text.doubts(fit).items()
    return [
        f"{name} is known only to ±{doubt:.1g} of itself only"
        for name, doubt in doubts
        if doubt > 1e-6
    ]


def _equals(explaining: list[Fit]) -> Iterator[str]:
    """Equations of equal size that also explain the steps."""
    best, *rest = explaining
    s = best.structure
    if equation_text.only_sum(s):
        yield "initial_accumulator_value and eps: only their sum can be seen"
    if s.decay == "coupled" and not (s.first or s.second or s.sign):
        yield "coupled and decoupled weight decay: without momentum they are the same path"
    for fit in rest:
        if fit.structure.size == s.size and not (
            equation_text.only_sum(s) and equation_text.only_sum(fit.structure)
        ):
            text = equation_text.equation(fit.structure).replace("\n", " ; ")
            yield f"the same path: {equation_text.family(fit.structure)}, {text}"


def _unknown(what: str, dtype: str) -> Identification:
    return Identification(False, what, "", {}, (), (), (), _never_examined(dtype))


_RESPONSES = {
    "linear": "its first step is proportional to the gradient",
    "clipped": "its first step is proportional to the gradient up to a bound",
    "sign": "its first step has the same size for every gradient",
    "outside": "its first step is α |g| / (|g| + ε) in size",
    "inside": "its first step is α |g| / √(g² + ε) in size",
    "other": "its first step depends on the gradient's size in a way that no known equation has",
}


def _likeness(record: Record, clues: Clues, others: list[Fit]) -> str:
    """like Adam in …, unlike in …."""
    about = [_RESPONSES[clues.response]]
    about.append(
        "a single gradient affects later steps"
        if clues.remembers
        else "a single gradient affects no later step"
    )
    if clues.coupled:
        about.append("an element's step depends on the others")
    if clues.decays:
        about.append(_drift(record))
    if not others:
        return f"like no known equation; {'; '.join(about)}"
    best = others[0]
    near, far = _parts(record, best)
    parts = f"like {equation_text.family(best.structure)}"
    parts += f" in its steps for {', '.join(near)}" if near else ""
    parts += f", unlike it for {', '.join(far)}" if far else ", but not to rounding"
    return f"{parts}; {'; '.join(about)}"


def _drift(record: Record) -> str:
    kinds = np.array([experiment.kind for experiment in probes.experiments()])
    moves = record.moves[0, kinds == "decay"]
    if np.ptp(moves) <= 1e-6 * np.abs(moves).max():
        return "without a gradient all parameters move by the same amount, whatever their values"
    return "parameters move without a gradient"


def _parts(record: Record, fit: Fit) -> tuple[list[str], list[str]]:
    """The kinds of experiments that an equation explains, and the kinds that it does not."""
    d, _ = directions(fit.structure, fit.values, record.conditions)
    expected = -fit.values["α"] * d - fit.values.get("αλ", 0.0) * record.conditions.params
    off: Array = np.abs((record.moves - expected) * coarse_weights(record)).max(0)
    kinds = np.array([experiment.kind for experiment in probes.experiments()])
    near, far = [], []
    for kind, word in _KINDS.items():
        worst = float(np.max(np.nan_to_num(off[kinds == kind], nan=1.0)))
        if worst < 1e-6:
            near.append(word)
        else:
            far.append(f"{word} (off by {worst:.1g})")
    return near, far


_KINDS = {
    "random": "random gradients",
    "push": "a single push",
    "constant": "a constant gradient",
    "decay": "zero gradients",
}
