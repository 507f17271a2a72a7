"""Each rule can give every verdict: some run, or a wrong formula in our code's place, leads to it.

The settings stand in the studies (`ABOUT.reachable`). An identity gets another verdict only where
our code is wrong, so here wrong code takes its place. Two comparisons hold with other data or
another function in our code's place.
"""

import json
import os
from pathlib import Path
from typing import Any
from unittest.mock import patch

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_notes import losses
from jaxopt_notes.models import layer_list
from jaxopt_notes.studies import files, study, sweeps
from jaxopt_notes.studies.claims import drifting_target, five_books, relu_output, weighted_sum
from jaxopt_notes.studies.digits import Deal
from jaxopt_notes.studies.inference import median_interval
from tests.slow_cases import slow_but

REPORT = Path(__file__).parents[2] / "docs" / "studies"
REGISTERED = [name for name in study.names() if study.about(name).findings]
SLOW = {"saddle", "sparse-features", "stall", "second-moment", "first-steps"}
SLOW |= {"calibration", "six-optimizers", "bias-correction", "five-books", "shapes"}
# Together they take five minutes of CPU time, so they run only where `LONG` is set.
MINUTES = {"batch-noise", "batch-normalisation", "batch-size", "drifting-target"}
MINUTES |= {"depth", "generalisation-gap", "pooling", "relu-output"}
LONG = "JAXOPT_NOTES_LONG_TESTS"
POOLED = ("kept_max_over", "kept_average_over", "less_max", "less_average")
MOVING = [f"{task}_adam" for task in drifting_target.TASKS]


def corrected(g: Any, beta: float) -> Any:
    """m̂ and v̂ in place of m and v."""
    m, v = averages(g, beta)
    by = 1 - beta ** jnp.arange(1, len(g) + 1)[:, None]
    return m / by, v / by


def one_corrected(g: Any, beta: float) -> Any:
    return averages(g, beta)[0], corrected(g, beta)[1]


def turned(x: Any) -> Any:
    """A flatten that gives channels-first order, whatever the layout."""
    return jnp.moveaxis(x, -1, 1).reshape(len(x), -1)


def roundabout(x: Any) -> Any:
    """The right values by another program."""
    return x[::-1].reshape(len(x), -1)[::-1]


def mislabelled(size: int, seed: int, official: bool) -> Deal:
    """A seed's images with a random label on four in ten, which networks can only memorise."""
    images = deal(size, seed, official)
    random, labels = np.random.default_rng(seed), np.asarray(images.train.labels)
    wrong = random.random(len(labels)) < 0.4
    labels = np.where(wrong, random.integers(0, 10, len(labels)), labels).astype(labels.dtype)
    return images._replace(train=images.train._replace(labels=jnp.asarray(labels)))


def larger_entropy(p: Any, **options: Any) -> Any:
    return 1.1 * entropy(p, **options)


averages = weighted_sum.averages
deal = sweeps.deal
entropy = jax.jit(losses.entropy, static_argnames=("base", "axis"))
defaults = five_books.by_defaults()
# For each study: a verdict, and the part that leads to it in place of ours: (where, name, what).
MUTANTS: dict[str, dict[str, tuple[Any, str, Any]]] = {
    "weighted-sum": {
        "fails": (weighted_sum, "averages", corrected),
        "depends": (weighted_sum, "averages", one_corrected),
    },
    "flatten": {
        "fails": (layer_list, "flatten", turned),
        "depends": (layer_list, "flatten", roundabout),
    },
    "entropy": {
        "fails": (losses, "entropy", jax.jit(larger_entropy, static_argnames=("base", "axis")))
    },
    "five-books": {
        "fails": (
            five_books,
            "walked",
            lambda books, *_: dict.fromkeys(books, np.linspace(0, 1, 8).reshape(4, 2)),
        ),
    },
}

# Wrong code shows on one shape, at one β, and after five steps: fewer programs.
LESS_TO_MEASURE: dict[str, dict[str, Any]] = {
    "flatten": {"shapes": [[3, 5, 5, 2]]},
    "weighted-sum": {"betas": [0.9]},
    "entropy": {"steps": 5},
}

SLOW_MUTANTS: dict[str, dict[str, tuple[Any, str, Any]]] = {
    "batch-noise": {"holds": (sweeps, "deal", mislabelled)},
    # Cross-entropy takes the logarithm of a softmax as it takes logits; no output of this ReLU
    # ever rises above 0.
    "relu-output": {
        "holds": (
            relu_output,
            "ARMS",
            {
                "logits": lambda z: z,
                "relu": lambda z: jax.nn.relu(z - 10),
                "softmax": jax.nn.log_softmax,
            },
        ),
    },
}

NETWORKS = ("dense", "conv", "mixture")
MORE, LESS = [0.6, 0.8, 1, 1, 1, 1.2, 1.5], [-0.5, -0.3, 0, 0, 0, 0.1, 0.2]
AROUND = [0, 0.2, 0.5, 0.5, 0.6, 0.8, 1]
SOONER, LATER = [0.4, 0.5, 0.5, 0.5, 0.5, 0.5, 0.7], [0.9, 1, 1, 1, 1, 1, 1.1]
GOOD = {
    **{f"{what}_{n}": MORE for what in ("wider", "gain") for n in NETWORKS},
    **{f"share_{n}": SOONER for n in NETWORKS},
}
BAD = {
    **{f"{what}_{n}": LESS for what in ("wider", "gain") for n in NETWORKS},
    **{f"share_{n}": LATER for n in NETWORKS},
}
PARTS, LENGTHS = ("behind", "lost"), (1, 3, 10, 30)
ENDS, PAIRS = {"small": 0.1, "large": 2.0}, ("64_steps", "256_steps", "16_epochs")

# Measurements of seven seeds that lead to these verdicts.
SYNTHETIC: dict[str, dict[str, dict[str, list[float]]]] = {
    "depth": {
        "holds": {"across_relu_torch": MORE, "within_relu_torch": MORE, "lost_relu_torch": MORE},
        "depends": {"within_relu_torch": LESS},
        "fails": {"within_sigmoid": MORE},
        "not decided": {"within_relu": AROUND},
    },
    "relu-output": {
        "holds": {"harm_relu": [5, 6, 7, 8, 9, 9, 9], "harm_softmax": LESS},
        "depends": {"harm_relu": [5, 6, 7, 8, 9, 9, 9], "harm_softmax": [4, 4, 5, 5, 5, 6, 6]},
        "fails": {"harm_relu": LESS, "broken_relu": [0, 0, 0, 0, 0, 0, 0.05]},
        "not decided": {"harm_relu": MORE, "broken_relu": AROUND},
    },
    "batch-normalisation": {
        "holds": GOOD,
        "depends": {**GOOD, "gain_conv": LESS},
        "fails": BAD,
        "not decided": {**GOOD, "gain_conv": AROUND},
    },
    "batch-noise": {
        "holds": {f"{what}_{by}": MORE for what in ("less", "gain") for by in ("batch", "noise")},
        "depends": {"less_batch": MORE, "gain_batch": MORE, "gain_noise": LESS},
        "fails": {"gain_batch": LESS, "gain_noise": LESS},
        "not decided": {"less_batch": MORE, "gain_batch": AROUND, "gain_noise": LESS},
    },
    "saddle": {
        "holds": {"stall": [3, 4, 4, 4, 4, 4, 5], "best_ratio": [2.1, 3, 3, 3, 3, 3, 4]},
        "depends": {"stall": [3, 4, 4, 4, 4, 4, 5], "best_ratio": [1, 1, 1, 1, 1, 1, 1.9]},
        "not decided": {"stall": [3, 4, 4, 4, 4, 4, 5], "best_ratio": [1, 2, 2, 2, 2, 2, 3]},
        "fails": {"stall": [0.1, 0.5, 0.5, 0.5, 0.5, 0.5, 0.9]},
    },
    "sparse-features": {
        "holds": {"better": [0.04] * 7, "better_shared": [0.05] * 7},
        "depends": {"better": [0.04] * 7, "better_shared": [0.0] * 7},
        "not decided": {"better": [0.0, 0.1, 0.1, 0.1, 0.1, 0.1, 0.2]},
    },
    "stall": {
        "holds": {"bowl_ratio": [4, 5, 6, 7, 8, 9, 9]},
        "not decided": {"bowl_ratio": [2, 3, 4, 5, 6, 7, 8]},
    },
    "drifting-target": {
        "holds": {task: [-0.1, 0, 0, 0, 0, 0, 0.1] for task in MOVING},
        "depends": {**{task: [0.2] * 7 for task in MOVING}, "contrast_adam": [0.05] * 7},
        "fails": {task: [0.11, 0.2, 0.2, 0.2, 0.2, 0.2, 0.3] for task in MOVING},
        "not decided": {
            **{task: [0.2] * 7 for task in MOVING},
            "contrast_adam": [0.05, *[0.2] * 6],
        },
    },
    "pooling": {
        "holds": {**{name: [0.05] * 7 for name in POOLED}, "gap_over_max": [0.0] * 7},
        "depends": {**{name: [0.05] * 7 for name in POOLED}, "gap_over_max": [-0.02] * 7},
        "fails": {**{name: [0.0] * 7 for name in POOLED}, "gap_over_max": [-0.02] * 7},
        "not decided": {
            **{name: [0.0, *[0.05] * 6] for name in POOLED},
            "gap_over_max": [-0.02] * 7,
        },
    },
    "calibration": {
        "holds": {"doubt": [0.001] * 7, "over": [-0.01, 0, 0, 0, 0, 0, 0.01]},
        "depends": {"doubt": [0.001] * 7, "over": [0.02] * 7},
        "not decided": {"doubt": [0.001] * 7, "over": [0.0, *[0.02] * 6]},
    },
    "six-optimizers": {
        "holds": {f"{part}_{n}": [0.1] * 7 for part in PARTS for n in LENGTHS},
        "depends": {f"{part}_{n}": [0.5 * n] * 7 for part in PARTS for n in LENGTHS},
        "not decided": {f"{part}_{n}": [-2, *range(6)] for part in PARTS for n in LENGTHS},
    },
    "batch-size": {
        "holds": {f"{end}_{pair}": [x] * 7 for end, x in ENDS.items() for pair in PAIRS},
        "depends": {f"{end}_{pair}": [x] * 7 for end, x in ENDS.items() for pair in PAIRS}
        | {"large_64_steps": [0.1] * 7, "large_256_steps": [0.1] * 7},
        "fails": {f"{end}_{pair}": [0.1] * 7 for end in ENDS for pair in PAIRS},
        "not decided": {"large_16_epochs": [-1, *range(6)], "small_16_epochs": [0.0] * 7},
    },
    "generalisation-gap": {
        "holds": {"steps": [0.5] * 7, "behind_made": [30.0] * 7, "mended_copied_made": [15.0] * 7},
        "depends": {"steps": [1.1] * 7, "behind_made": [30.0] * 7},
        "not decided": {"behind_mnist": [-1, *range(6)], "behind_made": [0.0] * 7},
    },
    "second-moment": {
        "depends": {"share_start": [0.2] * 7, "share_later": [0.02] * 7},
        "not decided": {"share_start": [0.05, 0.1, 0.2, 0.2, 0.2, 0.2, 0.3]},
    },
}


def word(name: str, setting: dict[str, Any]) -> str:
    module, about = study.load(name), study.about(name)
    measured = module.measure(setting)
    return module.verdict(measured.numbers, about.threshold).word


def cases(names: set[str]) -> list[tuple[str, str]]:
    return [
        (name, verdict)
        for name in sorted(names)
        for verdict in study.about(name).reachable
        if verdict not in SLOW_MUTANTS.get(name, {})
    ]


def reached(name: str, verdict: str, **less: Any) -> None:
    about = study.about(name)
    setting = {**about.setting_for(quick=True), **about.reachable.get(verdict, {}), **less}
    assert word(name, setting) == verdict


@pytest.mark.usefixtures("compiled_losses")
@pytest.mark.parametrize(("name", "verdict"), cases({*REGISTERED} - SLOW - MINUTES))
def test_a_setting_leads_to_the_verdict(name: str, verdict: str) -> None:
    reached(name, verdict)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "verdict"), cases(SLOW))
def test_a_dear_setting_leads_to_the_verdict(name: str, verdict: str) -> None:
    reached(name, verdict)


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get(LONG), reason=f"takes minutes: set {LONG}=1")
@pytest.mark.parametrize(("name", "verdict"), cases(MINUTES))
def test_a_setting_of_minutes_leads_to_the_verdict(name: str, verdict: str) -> None:
    reached(name, verdict)


QUICK_MUTANTS = [("weighted-sum", "fails"), ("flatten", "depends"), ("entropy", "fails")]


@pytest.mark.usefixtures("compiled_losses")
@pytest.mark.parametrize(
    ("name", "verdict"),
    slow_but(QUICK_MUTANTS, [(name, verdict) for name in MUTANTS for verdict in MUTANTS[name]]),
)
def test_wrong_code_leads_to_the_verdict(name: str, verdict: str) -> None:
    with patch.object(*MUTANTS[name][verdict]):
        reached(name, verdict, **LESS_TO_MEASURE.get(name, {}))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "verdict"),
    [(name, verdict) for name in SLOW_MUTANTS for verdict in SLOW_MUTANTS[name]],
)
def test_other_data_or_another_function_leads_to_the_verdict(name: str, verdict: str) -> None:
    with patch.object(*SLOW_MUTANTS[name][verdict]):
        reached(name, verdict)


@pytest.mark.parametrize(
    ("name", "verdict"), [(name, verdict) for name in SYNTHETIC for verdict in SYNTHETIC[name]]
)
def test_measurements_of_seeds_lead_to_the_verdict(name: str, verdict: str) -> None:
    result = json.loads((REPORT / name / "result.json").read_text(encoding="utf-8"))
    stored = files.stored(REPORT / name, result["key"])
    assert stored is not None
    seeds = {number: median_interval(x) for number, x in SYNTHETIC[name][verdict].items()}
    numbers = {**stored.measured.numbers, **seeds}
    assert study.load(name).verdict(numbers, study.about(name).threshold).word == verdict


@pytest.mark.parametrize("name", REGISTERED)
def test_every_verdict_that_a_rule_can_give_is_reached_by_some_run(name: str) -> None:
    about = study.about(name)
    result = json.loads((REPORT / name / "result.json").read_text(encoding="utf-8"))
    by_runs = {*about.reachable, *MUTANTS.get(name, {}), *SLOW_MUTANTS.get(name, {})}
    by_runs |= {result["verdict"]["word"]}
    by_runs |= {word for at, word in result["strip"].items() if at not in ("half", "double")}
    assert by_runs - {"not decided"} == set(about.findings) - {"not decided"}
    assert len(by_runs) > 1
