"""Resumes a run: its settings are the defaults, and changes that would make it another run are
refused.

Each setting's row in `config/settings.py` says what a change of the setting means.
"""

import os
from typing import Any, NamedTuple

from jaxopt_notes.config.settings import HYPERPARAMETERS, ROWS, Asked, Settings, resolve
from jaxopt_notes.config.table import OnResume, Row
from jaxopt_notes.errors import InputError
from jaxopt_notes.runs import info as run_info
from jaxopt_notes.runs.info import RunInfo


class Resumed(NamedTuple):
    """A run to resume.

    Attributes:
      asked: the old settings that are carried over, and the settings that the user asks for now.
      info: the run's description so far, from its `config.json`.
      changed: the names of the changed settings, except those that may change freely.
    """

    asked: Asked
    info: RunInfo
    changed: frozenset[str]

    def means(self, rule: OnResume) -> bool:
        """Whether a changed setting has this rule."""
        return any(ROWS[name].on_resume is rule for name in self.changed)


def go_on(folder: str, asked: Asked, override: bool) -> Resumed:
    """The run in a folder, with the settings that the user asks for now.

    Raises:
      InputError: there is no run in the folder; a setting is wrong; or a setting that matters has
        changed, and the user has not allowed the change or nobody can.
    """
    info = run_info.read(folder)
    old = info.config
    if "dataset" not in asked:
        run_info.refuse_moved(old, f"--resume {folder}")
    here = {os.path.realpath(path) for path in (folder, old.out) if path}
    if "out" in asked and os.path.realpath(asked["out"]) not in here:
        raise InputError(f"--out {asked['out']}: a resumed run stays in its folder; leave it out")
    merged = {**carried_over(old, asked), **asked, "out": folder}
    new = resolve(merged, examples=1)  # epochs are carried over, so no count is needed
    return Resumed(merged, info, refuse_changes(folder, old, new, override))


def carried_over(old: Settings, asked: Asked) -> dict[str, Any]:
    """The settings of a run that become the defaults of its next part.

    A setting that the run chose by itself is chosen anew, because the choice may depend on what the
    user asks for now.
    """
    values = old.values()
    renewed = {name for name, value in asked.items() if value != values[name]}
    return {
        name: value
        for name, value in values.items()
        if value is not None
        and ROWS[name].on_resume is not OnResume.TODAY
        and ROWS[name].owner not in renewed
        and not (callable(ROWS[name].default) and value == ROWS[name].choose(values))
    }


def refuse_changes(folder: str, old: Settings, new: Settings, override: bool) -> frozenset[str]:
    """The names of the changed settings, except those that may change freely.

    Raises:
      InputError: there are some, and the user has not allowed the change or nobody can.
    """
    before, now = old.values(), new.values()
    # `session.refuse_other_data` decides about DATA settings, once the data are loaded.
    free = (OnResume.FREE, OnResume.TODAY, OnResume.FOLDER, OnResume.DATA)
    changed = [
        row for name, row in ROWS.items() if before[name] != now[name] and row.on_resume not in free
    ]
    for row in changed:
        if row.on_resume is OnResume.WEIGHTS:
            raise InputError(
                f"{_difference(row, before, now, folder)}, and its weights fit no other value; "
                "leave it out, or start a new run"
            )
    for row in changed:
        if not override:
            raise InputError(
                f"{_difference(row, before, now, folder)}; leave it out, or add --override to "
                "change it"
            )
    return frozenset(row.name for row in changed)


def _difference(row: Row, before: Asked, now: Asked, folder: str) -> str:
    old, new = before[row.name], now[row.name]
    shown = row.option if new is None else row.with_value(new)
    return f"{shown}: the run in {folder} has {_in_words(row, old)}"


def _in_words(row: Row, value: Any) -> str:
    if value is None:
        return "the optimizer's default" if row.group == HYPERPARAMETERS else "none"
    return row.with_value(value) if isinstance(value, bool) else row.kind.show(value)
