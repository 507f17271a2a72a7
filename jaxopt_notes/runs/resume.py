"""Going on with a run: its settings are the defaults, and what would make it another is refused.

What a change of a setting means stands in the setting's row (`config/settings.py`).
"""

import os
from typing import Any, NamedTuple

from jaxopt_notes.config.settings import HYPERPARAMETERS, ROWS, Asked, Settings, resolve
from jaxopt_notes.config.table import OnResume, Row
from jaxopt_notes.errors import InputError
from jaxopt_notes.runs import info as run_info
from jaxopt_notes.runs.info import RunInfo


class Resumed(NamedTuple):
    """A run to go on with.

    Attributes:
      asked: the old settings that are carried over, and those that are asked for now.
      info: what its `config.json` says about the run until now.
      changed: the names of the settings that are different now, but for those that may be.
    """

    asked: Asked
    info: RunInfo
    changed: frozenset[str]

    def means(self, rule: OnResume) -> bool:
        """Whether a changed setting has this rule."""
        return any(ROWS[name].on_resume is rule for name in self.changed)


def go_on(folder: str, asked: Asked, override: bool) -> Resumed:
    """The run in a folder with the settings that are asked for now.

    Raises:
      InputError: there is no run in the folder, a setting is wrong, or one that matters is
        different and the user has not asked for that, or it cannot change.
    """
    info = run_info.read(folder)
    old = info.config
    if "dataset" not in asked:
        run_info.refuse_moved(old, f"--resume {folder}")
    here = {os.path.realpath(path) for path in (folder, old.out) if path}
    if "out" in asked and os.path.realpath(asked["out"]) not in here:
        raise InputError(f"--out {asked['out']}: a resumed run stays in its folder; leave it out")
    merged = {**carried_over(old, asked), **asked, "out": folder}
    new = resolve(merged, examples=1)  # the old number of epochs is carried over
    return Resumed(merged, info, refuse_changes(folder, old, new, override))


def carried_over(old: Settings, asked: Asked) -> dict[str, Any]:
    """The settings of a run that are the defaults of its next part.

    A choice that the run made by itself is made anew: it may depend on what is asked for now.
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
    """The names of the settings that are different, but for those that may be.

    Raises:
      InputError: there are some, and the user has not asked for that, or they cannot change.
    """
    before, now = old.values(), new.values()
    # `session.refuse_other_data` decides about DATA, once the data are loaded.
    free = (OnResume.FREE, OnResume.TODAY, OnResume.FOLDER, OnResume.DATA)
    changed = [
        row for name, row in ROWS.items() if before[name] != now[name] and row.on_resume not in free
    ]
    for row in changed:
        if row.on_resume is OnResume.WEIGHTS:
            raise InputError(
                f"{_difference(row, before, now, folder)}, and its weights fit nothing else; leave "
                "it out, or begin a new run"
            )
    for row in changed:
        if not override:
            raise InputError(
                f"{_difference(row, before, now, folder)}; leave it out, or add --override to go "
                "on with another"
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
