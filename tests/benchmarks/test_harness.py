"""Turns, spreads and ratios, on contestants that cost nothing."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.harness import Contestant, Measured, quickest, race, ratio, spread
from benchmarks.worker import steps_for, timed


def measured(*seconds):
    return Measured({"seconds": list(seconds)})


def test_a_ratio_is_of_medians_and_its_spread_of_rounds():
    quotient = ratio(measured(1.0, 2.0, 9.0), measured(2.0, 4.0, 3.0))
    assert quotient.median == pytest.approx(2 / 3)
    assert (quotient.low, quotient.high) == pytest.approx((0.5, 1.75))


def test_what_was_not_measured_has_no_spread_and_no_ratio():
    nobody = Measured(absent="not here")
    assert nobody.spread() is None
    assert ratio(nobody, measured(1.0)) is None
    assert ratio(measured(1.0), nobody) is None
    assert ratio(measured(1.0), None) is None


def test_the_quickest_is_the_one_of_the_least_median():
    contestants = {
        "a": measured(3.0, 1.0, 1.1),
        "b": measured(1.0, 2.0, 2.1),
        "c": Measured(absent="no"),
    }
    assert quickest(contestants, ["a", "b", "c", "d"]) is contestants["a"]
    assert quickest(contestants, ["c"]) is None


def test_one_round_is_its_own_spread():
    assert spread([2.5]) == (2.5, 2.5, 2.5)


def test_steps_are_found_that_fill_a_turn(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr("benchmarks.worker.time.perf_counter", lambda: clock[0])

    def run(steps):
        clock[0] += 0.01 * steps

    assert steps_for(run, seconds=1.0) == 100
    assert timed(run, 50)["seconds"] == pytest.approx(0.01)


@pytest.mark.parametrize("together", [False, True])
def test_a_race_measures_those_who_can_and_names_the_others(together):
    def contestant(function, settings=None, needs=""):
        factory = f"tests.benchmarks.pretended_contestants:{function}"
        return Contestant(
            factory, settings or {}, {"PYTHONPATH": str(Path(__file__).parents[2])}, needs
        )

    contestants = {
        "a": replace(contestant("counting", {"label": "A"}), tunes=True),
        "b": contestant("counting", {"label": "B"}),
        "gone": contestant("missing_something"),
        "broken": contestant("failing"),
        "not installed": contestant("counting", needs="no_such_package"),
    }
    results = race(contestants, rounds=2, seconds=1e-5, builds=1, starts=2, together=together)
    assert results["a"].facts["label"] == "A"
    assert results["b"].facts["label"] == "B"
    assert results["a"].facts["steps_a_round"] >= 1
    assert results["a"].samples.keys() == results["b"].samples.keys()
    assert {key: len(values) for key, values in results["a"].samples.items()} == {
        "trace_seconds": 2 * 1,
        "seconds": 2 * 2,
        "faults": 2 * 2,
    }
    assert all(math.isfinite(x) and x >= 0 for x in results["a"].samples["seconds"])
    assert results["gone"].absent == "no such thing here"
    assert results["broken"].absent == "failed: RuntimeError: broken on purpose"
    assert "jaxopt-notes[no_such_package]" in results["not installed"].absent
