"""`docs/equations.md`: the equations of ours, of other frameworks' and of optax's optimizers."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from jaxopt_notes.microscope.explaining import explain
from jaxopt_notes.microscope.explanation import Explanation, Hyperparameter, write_line
from jaxopt_notes.microscope.factories import factory, keywords

HEAD = """# The equations of optimizers

Read off each optimizer's own program, and stepped beside it for 100 steps on gradients from 1e-9 to 1e3: \
in float64 the numbers agree to 12 digits, and otherwise to the rounding of the dtype that the optimizer \
computes in. Lines stand in the order in which a step computes them. g is the gradient, θ the parameters, \
t the number of the step from 1 on; the state begins with 0 where nothing else is said.

Written by `python -m jaxopt_notes.explain --table docs/equations.md`. One optimizer with all its remarks, \
and what other frameworks mean by its name: `python -m jaxopt_notes.explain optax.adamw learning_rate=1e-3`.
"""


class Row(NamedTuple):
    """One optimizer of the page: its factory and arguments as on a command line, or code."""

    call: str
    code: str = ""


_RATE = "learning_rate=0.1"
_OPTAX = (
    "sgd|sgd momentum=0.9|sgd momentum=0.9 nesterov=true|adam|adamw|nadam|nadamw|adamax|adamaxw|"
    "amsgrad|adagrad|rmsprop|rmsprop centered=true|rmsprop momentum=0.9|adabelief|adadelta|"
    "adafactor|adan|fromage|lamb|lars|lion|novograd|optimistic_gradient_descent|optimistic_adam|"
    "radam|rprop|sign_sgd|sm3|yogi"
).split("|")
_CONTRIB = (
    "acprop|ademamix|adopt|cocob|dadapt_adamw|dog|dowg|madgrad|prodigy|schedule_free_sgd|"
    "schedule_free_adamw|simplified_ademamix"
).split("|")
_OURS = (
    "sgd|sgd momentum=0.9|momentum|adagrad|adagrad eps_in_sqrt=false|rmsprop|"
    "rmsprop eps_in_sqrt=false|rmsprop centered=true|rmsprop momentum=0.9|adam|nadam|amsgrad|adamw|"
    "lion|ema decay=0.9"
).split("|")
_FRAMEWORKS = {
    "notes": "sgd alpha=0.1|momentum alpha=0.1|adagrad alpha=0.1|rmsprop eta=0.1|adam alpha=0.1|"
    "adamw alpha=0.1 weight_decay=0.01",
    "torch": "sgd lr=0.1|sgd lr=0.1 momentum=0.9|sgd lr=0.1 momentum=0.9 dampening=0.5|"
    "sgd lr=0.1 momentum=0.9 nesterov=true weight_decay=0.01|adagrad|adagrad lr_decay=0.1|rmsprop|"
    "rmsprop momentum=0.9 centered=true|adam|adam weight_decay=0.01|adam amsgrad=true|adamw|"
    "adam maximize=true",
    "keras": "sgd|sgd momentum=0.9|sgd momentum=0.9 nesterov=true|adagrad|rmsprop|"
    "rmsprop momentum=0.9 centered=true|adam|adam amsgrad=true|adamw",
    "tensorflow1": "gradient_descent learning_rate=0.1|momentum learning_rate=0.1 momentum=0.9|"
    "adagrad learning_rate=0.1|rmsprop learning_rate=0.1|adam|adamw weight_decay=0.01",
}
_WRAPPED = (
    "optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.001))",
    "optax.chain(optax.clip(1.0), optax.sgd(0.1, momentum=0.9))",
    "optax.chain(optax.add_decayed_weights(0.01), optax.adam(0.001))",
    "optax.masked(optax.sgd(0.1), {'weight': True, 'bias': False})",
    "optax.partition({'train': optax.adam(0.001), 'freeze': optax.set_to_zero()}, "
    "{'weight': 'train', 'bias': 'freeze'})",
    "optax.inject_hyperparams(optax.adam)(0.001)",
    "optax.MultiSteps(optax.sgd(0.1, momentum=0.9), 4)",
    "optax.apply_if_finite(optax.sgd(0.1, momentum=0.9), 3)",
    "optax.sgd(optax.cosine_decay_schedule(0.1, 80))",
    "optax.sgd(optax.exponential_decay(0.1, 10, 0.5))",
)


def rows() -> dict[str, list[Row]]:
    """The page's optimizers, by section."""
    return {
        "Ours, which are optax's": [Row(_with_rate(f"jaxopt_notes.{x}", x)) for x in _OURS],
        "The same names in other frameworks": [
            Row(f"jaxopt_notes.conventions.{home}.{x}")
            for home, calls in _FRAMEWORKS.items()
            for x in calls.split("|")
        ],
        "optax": [Row(_with_rate(f"optax.{x}", x)) for x in _OPTAX],
        "optax.contrib": [Row(_with_rate(f"optax.contrib.{x}", x)) for x in _CONTRIB],
        "Wrappers, chains and schedules of optax": [Row("", code) for code in _WRAPPED],
    }


def _with_rate(call: str, name: str) -> str:
    own = ("ema", "cocob", "dadapt_adamw", "dog", "dowg", "prodigy", "adafactor")
    return call if name.split()[0] in own else f"{call} {_RATE}"


def explained(row: Row) -> Explanation:
    """The explanation of a row."""
    if row.code:
        made: Explanation = explain(_MADE[row.code](), name=row.code)
        return made
    path, *values = row.call.split()
    found: Explanation = explain(factory(path), name=path, **keywords(values))
    return found


def _make(code: str) -> Any:
    """The code is this module's own, from `_WRAPPED`."""
    import optax

    return lambda: eval(code, {"optax": optax})


_MADE = {code: _make(code) for code in _WRAPPED}


def page() -> str:
    """The whole page."""
    text = [HEAD]
    for title, own in rows().items():
        text.append(f"\n## {title}\n\n| call | one step | numbers |\n| --- | --- | --- |\n")
        text += [line_of(explained(row)) + "\n" for row in own]
    return "".join(text)


def line_of(e: Explanation) -> str:
    """One line of the page's table."""
    if not e.holds:
        return f"| `{e.name}` | could not be put into an equation: {e.checked.failure} | |"
    cells = []
    for case in e.cases:
        every = len(case.leaves) == len(e.system.program.leaves)
        where = "" if every else "for " + ", ".join(case.leaves)
        head = ", ".join(part for part in (case.when, where) if part)
        cells += [f"*{head}:*"] if head else []
        cells += [write_line(e, line) for line in case.lines]
    numbers = [_number(h) for h in e.hyperparameters if h.letter.rstrip("₀") not in e.starts]
    numbers += [f"{k} starts at {v}" for k, v in e.starts.items()]
    numbers += [] if e.checked.dtype == "float64" else [f"computes in {e.checked.dtype}"]
    return " | ".join(["| `" + e.name + "`", _cell(cells), _cell(numbers) + " |"])


def _number(h: Hyperparameter) -> str:
    return f"{h.letter} = {np.format_float_positional(h.value, trim='-')}" if (
        1e-4 < abs(h.value) < 1e6) else f"{h.letter} = {h.value:.12g}"


def _cell(lines: Iterable[str]) -> str:
    return "<br>".join(line.replace("|", "\\|") for line in lines)
