"""The rows of the settings' table: a setting's kind, default, help, and rule for `--resume`.

The fields of `settings.Settings` hold the rows themselves. Needs neither JAX nor optax.
"""

import enum
from collections.abc import Mapping
from dataclasses import field, fields
from typing import Any, NamedTuple

from jaxopt_notes import places
from jaxopt_notes.config.kinds import Kind
from jaxopt_notes.errors import InputError, nearest


class OnResume(enum.Enum):
    """What happens if a run is resumed with a new value of a setting."""

    FREE = "the run goes on with the new value"
    TODAY = "the old value is not carried over: this machine decides, or the command line"
    OVERRIDE = "it needs --override"
    NEW_OPTIMIZER = "it needs --override, and the optimizer's state starts afresh"
    NEW_ORDER = "it needs --override, and the current epoch restarts in the new order"
    DATA = "if the images or labels differ, it needs --override, and the current epoch restarts"
    WEIGHTS = "it is refused: the weights in the checkpoints fit no other value"
    FOLDER = "it is refused: a run stays in its folder"


class Row(NamedTuple):
    """One setting.

    Attributes:
      kind: the kind of its values.
      help: what the setting does, for `--help`.
      on_resume: what a change of the setting means for a resumed run.
      default: the value where the user asks for none; None means "off" or the optimizer's own
        default. It may be a function of the settings in the rows above, by name.
      default_text: the default in words, where the value does not speak for itself.
      group: the title that `--help` shows the setting under.
      owner: the setting that this setting belongs to; if, say, the optimizer changes on resuming,
        its hyperparameters lose their old values.
      valid_for: the owner's values that use this setting; empty where all values do.
      aliases: other common names of the setting; the error for such an option names this setting.
      compared: whether the result of a training may depend on the setting.
      name: the setting's name.
    """

    kind: Kind
    help: str
    on_resume: OnResume
    group: str
    default: Any = None
    default_text: str = ""
    owner: str = ""
    valid_for: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    compared: bool = True
    name: str = ""

    @property
    def option(self) -> str:
        """The command-line spelling.

        >>> from jaxopt_notes.config.kinds import not_negative
        >>> about = {"help": "ε", "on_resume": OnResume.OVERRIDE, "group": "optimizer"}
        >>> Row(name="eps_root", kind=not_negative(), **about).option
        '--eps-root'
        """
        return "--" + self.name.replace("_", "-")

    def with_value(self, value: Any) -> str:
        """The option and a value, as the user would type them."""
        if isinstance(value, bool):
            return self.option if value else self.option.replace("--", "--no-", 1)
        return f"{self.option} {self.kind.show(value)}"

    def read(self, text: str) -> Any:
        """Parses an option's text.

        Raises:
          InputError: the text is not a value of this setting.
        """
        try:
            value = self.kind.parse(text)
        except InputError as error:
            raise places.named(self.option, text, error) from None
        except ValueError:
            raise self._refusal(text, f"is not {self.kind.noun}") from None
        return self.checked(value, text)

    def checked(self, value: Any, text: str | None = None) -> Any:
        """Returns the value unchanged if it is allowed.

        Raises:
          InputError: the value is not allowed; `text` is the value as the user wrote it.
        """
        try:
            allowed = self.kind.check(value)
        except (TypeError, ValueError):  # the value has another type
            allowed = False
        if not allowed:
            wrong = "is unknown" if self.kind.names else "is out of range"
            raise self._refusal(str(value) if text is None else text, wrong)
        return value

    def _refusal(self, text: str, wrong: str) -> InputError:
        if not text:
            text, wrong = "''", "is empty"
        near = nearest(text, self.kind.names)
        remedy = f"did you mean {near}?" if near else self.kind.remedy
        return InputError(f"{self.option} {text}: {wrong}; {remedy}")

    def choose(self, choices: Mapping[str, Any]) -> Any:
        """The default, which may depend on the settings in the rows above."""
        return self.default(choices) if callable(self.default) else self.default

    def to_json(self, value: Any) -> Any:
        """The value as `config.json` keeps it; null for a default that has no text."""
        if not self.kind.as_text:
            return list(value) if isinstance(value, tuple) else value
        return None if value in (None, self.default) else self.kind.show(value)

    def from_json(self, value: Any) -> Any:
        """The value of a setting in `config.json`.

        Raises:
          InputError: `config.json` holds a value that the setting does not allow.
        """
        if self.kind.as_text:
            return self.read(str(value))
        return self.checked(tuple(value) if isinstance(value, list) else value)


def row(**about: Any) -> Any:
    """A dataclass field with its `Row`."""
    return field(metadata={"row": Row(**about)})


def rows(*each: Row) -> Any:
    """A dataclass field that is a dictionary, with a row for each key."""
    return field(metadata={"rows": each})


def table_of(settings: type) -> dict[str, Row]:
    """The rows of all fields by name; the rows of a dictionary's keys come last.

    Raises:
      TypeError: a field has no row, and so no rule for `--resume`.
    """
    of_fields: dict[str, Row] = {}
    of_keys: dict[str, Row] = {}
    for each in fields(settings):
        if "row" in each.metadata:
            of_fields[each.name] = each.metadata["row"]._replace(name=each.name)
        elif "rows" in each.metadata:
            of_keys |= {one.name: one for one in each.metadata["rows"]}
        else:
            raise TypeError(f"{settings.__name__}.{each.name} has no row")
    if both := of_fields.keys() & of_keys.keys():
        raise TypeError(f"{settings.__name__} has two rows for each of {', '.join(both)}")
    return of_fields | of_keys
