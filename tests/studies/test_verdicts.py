"""A verdict follows from the numbers: numbers altered by hand give another verdict."""

import json
from pathlib import Path
from typing import Any

import pytest

from jaxopt_notes.studies import files, study

REPORT = Path(__file__).parents[2] / "docs" / "studies"

MOVING = [f"{task}_adam" for task in ("drift", "jumps", "scales", "labels", "rotation")]
MOVING += ["contrast_adam", "bandit_adam"]
POOLS = {
    **{"kept_max_over": 0.02, "kept_average_over": 0.02},
    **{"less_max": 0.015, "less_average": 0.015, "gap_over_max": -0.015},
}
SHARES = ("share_dense", "share_conv", "share_mixture")
BATCH_HOLDS = {
    **dict.fromkeys(SHARES, 0.8),
    **{f"{what}_{n}": 0.5 for what in ("wider", "gain") for n in ("dense", "conv", "mixture")},
}
LENGTHS_BEHIND = {f"behind_{n}": 1.0 for n in (1, 3, 10, 30)}
LENGTHS_LOST = {f"lost_{n}": 1.0 for n in (1, 3, 10, 30)}
PAIRS = ("64_steps", "256_steps", "16_epochs")
SMALL_FINE = {f"small_{pair}": 1.0 for pair in PAIRS}
LARGE_BEHIND = {f"large_{pair}": 1.0 for pair in PAIRS}
REMEDIES = ("adamw", "copied", "projected")
MADE_NO_WORSE = {"behind_made": 0.4, **{f"mended_{r}_mnist": -1.0 for r in REMEDIES}}
MADE_WORSE = {"behind_made": 0.5, "behind_mnist": 0.4} | {
    f"mended_{r}_made": -0.1 for r in REMEDIES
}

# For each study: the verdict, and the altered numbers that must lead to it.
ALTERED: dict[str, list[tuple[str, dict[str, float]]]] = {
    "ravine": [
        ("holds", {"sooner_least": 1.25, "damping_least": 1.3}),
        ("depends", {"sooner_least": 1.2, "sooner_largest": 1.3}),
        ("depends", {"sooner_least": 1.25, "damping_least": 1.2}),
        ("fails", {"sooner_least": 0.3, "sooner_largest": 1.2}),
        ("fails", {"damping_least": 0.3, "damping_largest": 1.2}),
    ],
    "saddle": [
        ("holds", {"stall": 1.0, "best_ratio": 2.0, "ledge_ratio": 2.0}),
        ("depends", {"stall": 1.0, "best_ratio": 2.0, "ledge_ratio": 1.9}),
        ("depends", {"stall": 1.0, "best_ratio": 1.9, "ledge_ratio": 2.0}),
        ("fails", {"stall": 0.9}),
        ("fails", {"best_ratio": 1.9, "ledge_ratio": 1.9}),
    ],
    "sparse-features": [
        ("holds", {"slope": -0.25, "better": 0.03, "better_shared": 0.03}),
        ("depends", {"slope": -0.3, "better": 0.1, "better_shared": 0.02}),
        ("fails", {"slope": -0.2, "better": 0.1, "better_shared": 0.1}),
        ("fails", {"slope": -0.3, "better": 0.02, "better_shared": 0.1}),
    ],
    "stall": [
        ("holds", {"bowl_ratio": 3.0}),
        ("depends", {"bowl_ratio": 2.9}),
        ("depends", {"exponent_rmsprop": -0.2}),
        ("fails", {"exponent_adagrad": -0.4, "bowl_ratio": 1.0}),
    ],
    "weighted-sum": [
        ("depends", {"error_v": 1e-6}),
        ("depends", {"least_growth": -0.01}),
        ("fails", {"error_m": 1e-6, "error_v": 1e-6}),
    ],
    "second-moment": [
        ("holds", {"share_start": 0.1, "share_later": 0.05}),
        ("depends", {"share_start": 0.2, "share_later": 0.1}),
        ("fails", {"share_start": 0.2, "share_later": 0.11}),
    ],
    "bias-correction": [
        ("holds", {"m_first": 0.5, "v_first": 0.5}),
        ("depends", {"m_first": 0.9}),
        ("fails", {"m_first": 0.9, "v_first": 0.6}),
    ],
    "first-steps": [
        ("holds", {"step_first": 0.66}),
        ("depends", {"step_first": 0.67}),
        ("depends", {"step_first": 1.49}),
        ("fails", {"step_first": 1.5}),
    ],
    "rmsprop-steps": [
        ("holds", {"burst": 4.0, "steady_least": 0.25, "drop": 0.25}),
        ("depends", {"burst": 4.0, "steady_least": 0.2}),
        ("depends", {"burst": 4.1, "steady_least": 0.25, "drop": 0.25}),
        ("fails", {"burst": 4.1, "drop": 0.2}),
    ],
    "drifting-target": [
        ("holds", dict.fromkeys(MOVING, 0.1)),
        ("depends", {**dict.fromkeys(MOVING, 0.11), "bandit_adam": 0.1}),
        ("fails", dict.fromkeys(MOVING, 0.11)),
    ],
    "depth": [
        (
            "holds",
            {
                **dict.fromkeys(("across_relu", "within_relu"), 0.01),
                **dict.fromkeys(("across_relu_torch", "within_relu_torch"), 0.01),
                **dict.fromkeys(("lost_relu", "lost_relu_torch"), 30.0),
            },
        ),
        ("depends", {"across_relu_torch": 0.009}),
        ("depends", {"lost_relu_torch": 31}),
        ("fails", {"within_relu": 0.009, "lost_relu_torch": 31}),
        ("fails", {"across_sigmoid": 0.011}),
        ("fails", {"lost_sigmoid": 29}),
    ],
    "relu-output": [
        ("holds", {"harm_relu": 1.0, "broken_relu": 0.15, "harm_softmax": 1.0}),
        ("depends", {"harm_relu": 1.0, "broken_relu": 0.15, "harm_softmax": 1.1}),
        ("depends", {"harm_relu": 0.9, "broken_relu": 0.15, "harm_softmax": 1.0}),
        ("fails", {"harm_relu": 0.9, "broken_relu": 0.14}),
    ],
    "shapes": [
        ("depends", {"sides_wrong": 1}),
        ("depends", {"exchange_wrong": 1}),
        ("fails", {"parameters_wrong": 1}),
        ("fails", {"shapes_wrong": 1}),
    ],
    "entropy": [
        ("depends", {"soft_gap": 1e-3}),
        ("depends", {"soft_distance": 0.1}),
        ("fails", {"below_floor": -0.1}),
        ("fails", {"uniform": 0.1}),
    ],
    "flatten": [
        ("depends", {"programs": 1}),
        ("fails", {"values": 1}),
        ("fails", {"gradients": 1}),
    ],
    "five-books": [
        ("holds", {"adam_defaults": 0.02}),
        ("depends", {"adam_defaults": 0.001}),
        (
            "fails",
            {
                f"{name}_{trial}": 0.0
                for name in ("rmsprop", "adagrad", "adam")
                for trial in ("defaults", "tiny")
            },
        ),
    ],
    "six-optimizers": [
        ("holds", {**LENGTHS_BEHIND, **LENGTHS_LOST}),
        ("depends", {**LENGTHS_BEHIND, **LENGTHS_LOST, "lost_1": 1.1}),
        ("depends", {**LENGTHS_BEHIND, **LENGTHS_LOST, "behind_30": 1.1}),
        ("fails", {**LENGTHS_BEHIND, **dict.fromkeys(LENGTHS_LOST, 1.1)}),
        ("fails", {**dict.fromkeys(LENGTHS_BEHIND, 1.1), **LENGTHS_LOST}),
        ("fails", {**LENGTHS_LOST, "behind_1": 1.1, "behind_3": 1.1, "lost_10": 2, "lost_30": 2}),
    ],
    "batch-size": [
        ("holds", {**SMALL_FINE, **LARGE_BEHIND}),
        ("holds", {**SMALL_FINE, **LARGE_BEHIND, "large_64_steps": 0.0}),
        ("holds", {**SMALL_FINE, **LARGE_BEHIND, "large_16_epochs": 0.9}),
        ("depends", {**SMALL_FINE, **LARGE_BEHIND, "small_64_steps": 1.1, "small_256_steps": 1.1}),
        ("fails", {**SMALL_FINE, **dict.fromkeys(LARGE_BEHIND, 0.9)}),
        ("fails", {**dict.fromkeys(SMALL_FINE, 1.1), **LARGE_BEHIND}),
    ],
    "generalisation-gap": [
        ("holds", {"steps": 0.8, **MADE_NO_WORSE, "behind_mnist": 0.5, "mended_adamw_mnist": 0.0}),
        ("holds", {"steps": 0.8, **MADE_WORSE, "mended_projected_made": 0.0}),
        ("depends", {"steps": 0.81, **MADE_WORSE, "mended_projected_made": 0.0}),
        ("depends", {"steps": 0.8, **MADE_WORSE}),
        ("depends", {"steps": 0.8, **MADE_WORSE, "behind_mnist": 0.4, "mended_copied_mnist": 1.0}),
        ("fails", {"steps": 0.8, **MADE_NO_WORSE, "behind_mnist": 0.4}),
    ],
    "batch-normalisation": [
        ("holds", BATCH_HOLDS),
        ("depends", {**BATCH_HOLDS, "gain_mixture": 0.4}),
        ("depends", {**BATCH_HOLDS, "share_dense": 0.81}),
        ("depends", {**BATCH_HOLDS, "wider_conv": 0.4}),
        ("fails", {**dict.fromkeys(BATCH_HOLDS, 0.0), **dict.fromkeys(SHARES, 1.0)}),
    ],
    "batch-noise": [
        ("holds", {"less_batch": 0.5, "gain_batch": 0.5, "less_noise": 0.5, "gain_noise": 0.5}),
        ("depends", {"less_batch": 0.5, "gain_batch": 0.5, "less_noise": 0.5, "gain_noise": 0.4}),
        ("depends", {"less_batch": 0.4, "less_noise": 0.5, "gain_noise": 0.5}),
        ("fails", {"gain_batch": 0.4, "less_noise": 0.4}),
    ],
    "pooling": [
        ("holds", POOLS),
        ("depends", {**POOLS, "kept_average_over": 0.019}),
        ("depends", {**POOLS, "kept_max_over": 0.0, "less_max": 0.014}),
        ("depends", {**POOLS, "less_average": 0.014, "gap_over_max": -0.016}),
        ("fails", {"kept_max_over": 0.019, "less_average": 0.0, "gap_over_max": -0.02}),
    ],
    "calibration": [
        ("holds", {"doubt": 0.01, "over": 0.01}),
        ("holds", {"doubt": 0.0, "over": -0.01}),
        ("depends", {"doubt": 0.01, "over": 0.011}),
        ("depends", {"doubt": 0.01, "over": -0.011}),
        ("fails", {"doubt": 0.011}),
    ],
}


def reported(name: str) -> dict[str, Any]:
    """result.json of the report in the repository."""
    return json.loads((REPORT / name / "result.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", study.names())
def test_the_reported_verdict_follows_from_the_reported_numbers(name: str) -> None:
    result, about = reported(name), study.about(name)
    assert not result["quick"]
    stored_run = files.stored(REPORT / name, result["key"])
    assert stored_run is not None
    assert (
        study.load(name).verdict(stored_run.measured.numbers, about.threshold)._asdict()
        == result["verdict"]
    )
    assert result["threshold"] == about.threshold
    assert result["setting"] == about.setting


@pytest.mark.parametrize("name", study.names())
def test_other_numbers_give_another_verdict(name: str) -> None:
    stored_run = files.stored(REPORT / name, reported(name)["key"])
    assert stored_run is not None
    words = set()
    for word, changes in ALTERED[name]:
        numbers = dict(stored_run.measured.numbers)
        for changed, value in changes.items():
            old = numbers[changed]
            numbers[changed] = dict.fromkeys(old, value) if isinstance(old, dict) else value
        verdict = study.load(name).verdict(numbers, study.about(name).threshold)
        assert verdict.word == word, changes
        assert verdict.reason
        assert verdict.reason_zh
        words.add(word)
    findings = set(study.about(name).findings) or {"holds", "fails", "depends"}
    assert words | {reported(name)["verdict"]["word"]} >= findings - {"not decided"}


@pytest.mark.parametrize("name", [n for n in study.names() if study.about(n).findings])
def test_an_interval_around_the_threshold_decides_nothing(name: str) -> None:
    about, module = study.about(name), study.load(name)
    stored_run = files.stored(REPORT / name, reported(name)["key"])
    assert stored_run is not None
    numbers = {
        key: {**x, "low": -1e9, "high": 1e9} if isinstance(x, dict) and "low" in x else x
        for key, x in stored_run.measured.numbers.items()
    }
    word = module.verdict(numbers, about.threshold).word
    by_intervals = "not decided" in about.findings
    assert (word == "not decided") == by_intervals


@pytest.mark.parametrize("name", study.names())
def test_the_reported_finding_and_strip_follow_from_the_reported_numbers(name: str) -> None:
    result, about = reported(name), study.about(name)
    stored_run = files.stored(REPORT / name, result["key"])
    assert stored_run is not None
    measured, word = stored_run.measured, result["verdict"]["word"]
    assert study.finding(about, word, measured.numbers) == result["finding"]
    assert study.strip(study.load(name).verdict, measured, about.threshold) == result["strip"]
    assert result["robust"] == all(each == word for each in result["strip"].values())
    for verdict in about.findings:
        for text in study.finding(about, verdict, measured.numbers):
            assert "{" not in text
