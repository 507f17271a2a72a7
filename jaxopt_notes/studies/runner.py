"""Runs a study: measures unless that is done already, judges, draws, writes."""

import time
from importlib.metadata import version
from pathlib import Path
from platform import machine, python_version, system
from typing import Any

import numpy as np

from jaxopt_notes import __version__
from jaxopt_notes.studies import files, pictures, registration, study


def run(name: str, out: Path, quick: bool = False) -> dict[str, Any]:
    """Runs one study, or takes what it measured before in this folder, in this setting.

    Judging and drawing are done anew in any case: they take no time.

    Args:
      name: one of `study.names()`.
      out: the study's files go to its folder `name`.
      quick: the smaller setting.

    Returns:
      What result.json holds.
    """
    about, module = study.about(name), study.load(name)
    setting = about.setting_for(quick)
    test_set = _test_set() if setting.get("official") else None
    key = study.key(name, setting if test_set is None else {**setting, "test_set": test_set})
    stored = files.stored(out / name, key)
    if stored is None:
        began = time.perf_counter()
        measured = module.measure(setting)
        # Arrays, as they are when read from the file: `draw` sees one kind.
        measured = measured._replace(series={n: np.ravel(x) for n, x in measured.series.items()})
        seconds = round(time.perf_counter() - began, 1)
        ran_under = registration.rule_hash(name, setting)
        stored = files.Stored(measured, seconds, _versions(), ran_under)
    measured = stored.measured
    if set(measured.numbers) != set(about.measured):
        raise ValueError(f"study {name}: its numbers are not those that ABOUT.measured names")
    verdict = module.verdict(measured.numbers, about.threshold)
    strip = study.strip(module.verdict, measured, about.threshold)
    result = {
        "name": name,
        "claim": about.claim,
        "claim_zh": about.claim_zh,
        "kind": about.kind,
        "verdict": verdict._asdict(),
        "finding": study.finding(about, verdict.word, measured.numbers),
        "strip": strip,
        "robust": set(strip.values()) == {verdict.word},
        "rule": about.rules()[0],
        "threshold": about.threshold,
        "numbers": measured.numbers,
        "budgets": dict(measured.budgets),
        "setting": setting,
        "test_set": test_set,
        "quick": quick,
        "command": f"python -m jaxopt_notes.studies run {name}" + " --quick" * quick,
        "seconds": stored.seconds,
        "versions": stored.versions,
        "key": key,
        "ran_under": stored.ran_under,
        "registered": registration.registered().get(name),
        "registration": registration.status(name, stored.ran_under),
    }
    drawn = pictures.drawn(module.draw, measured, about.texts)
    files.write(out / name, result, measured.series, drawn)
    return result


def _test_set() -> str:
    from jaxopt_notes.studies import digits  # imports what trains

    return digits.judges()


def _versions() -> dict[str, str]:
    installed = {package: version(package) for package in ("jax", "optax", "flax", "numpy")}
    where = {"python": python_version(), "system": f"{system()} {machine()}"}
    return {"jaxopt_notes": __version__, **installed, **where}
