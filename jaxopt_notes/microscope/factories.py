"""Reads an optimizer from a command line: `optax.adamw learning_rate=1e-3`.

Only the standard library is needed until a factory is imported. No text is evaluated as code.
"""

import inspect
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

from jaxopt_notes.errors import InputError, first_line, nearest

_WORDS = {"true": True, "false": False, "none": None}
# The frameworks' names for one hyperparameter.
_SYNONYMS = (
    {"learning_rate", "lr"},
    {"b1", "beta1", "beta_1"},
    {"b2", "beta2", "beta_2"},
    {"eps", "epsilon"},
    {"decay", "rho", "alpha"},
)


def factory(path: str) -> Callable[..., Any]:
    """Imports an optimizer's factory by its dotted name.

    >>> factory("optax.adamw").__name__
    'adamw'
    >>> factory("optax.adamv")
    Traceback (most recent call last):
        ...
    jaxopt_notes.errors.InputError: optax.adamv: optax has no adamv; did you mean optax.adam?

    Raises:
      InputError: there is no such module or attribute, or it is not callable.
    """
    names = path.split(".")
    if len(names) < 2 or not all(name.isidentifier() for name in names):
        raise InputError(f"{path}: is not a dotted name; pass one such as optax.adamw")
    made: Any = _module(path, names[0])
    for i, name in enumerate(names[1:], 1):
        where = ".".join(names[:i])
        if not hasattr(made, name):
            if inspect.ismodule(made):
                _import_inside(path, f"{where}.{name}")
            if not hasattr(made, name):
                raise InputError(f"{path}: {where} has no {name}; {_remedy(where, made, name)}")
        made = getattr(made, name)
    if not callable(made):
        raise InputError(f"{path}: cannot be called; pass a function or class, such as optax.adamw")
    return made


def _module(path: str, name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name == name:
            raise InputError(f"{path}: no module {name}; install it, or correct the name") from None
        raise InputError(f"{path}: {name} needs {error.name}, which is not installed") from None
    except Exception as error:  # a package may raise anything on import
        raise InputError(f"{path}: {name} cannot be imported ({first_line(error)})") from error


def _import_inside(path: str, name: str) -> None:
    """Imports a submodule that its package does not import, if it exists."""
    try:
        import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise InputError(f"{path}: {name} needs {error.name}, which is not installed") from None
    except Exception as error:
        raise InputError(f"{path}: {name} cannot be imported ({first_line(error)})") from error


def _remedy(where: str, holder: Any, name: str) -> str:
    near = nearest(name, [word for word in dir(holder) if not word.startswith("_")])
    return f"did you mean {where}.{near}?" if near else f"see {where}'s documentation"


def keywords(words: Iterable[str]) -> dict[str, Any]:
    """Keyword arguments from `key=value`: numbers, booleans, None and strings.

    A quoted value is always a string; a list is numbers separated by commas.

    >>> keywords(["learning_rate=1e-3", "nesterov=true", "mask=None", "betas=0.9,0.95"])
    {'learning_rate': 0.001, 'nesterov': True, 'mask': None, 'betas': (0.9, 0.95)}
    >>> keywords(["b1:0.9"])
    Traceback (most recent call last):
        ...
    jaxopt_notes.errors.InputError: b1:0.9: is not key=value; write b1=0.9, for example

    Raises:
      InputError: a word is not `key=value`, or a key occurs twice.
    """
    values: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key.isidentifier() or not text:
            example = word.replace(":", "=") if ":" in word else "learning_rate=1e-3"
            raise InputError(f"{word}: is not key=value; write {example}, for example")
        if key in values:
            raise InputError(f"{word}: sets {key} a second time; pass it once")
        values[key] = _value(text)
    return values


def _value(text: str) -> Any:
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    parts = text.strip("()[]").split(",")
    numbers = [_number(part.strip()) for part in parts if part.strip()]
    if numbers and None not in numbers:
        return tuple(numbers) if len(parts) > 1 else numbers[0]
    return text


def _number(text: str) -> int | float | None:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return None


def _meant(key: str, parameters: Iterable[str]) -> str:
    """The parameter that a keyword probably means; empty if unknown."""
    synonyms = [name for words in _SYNONYMS if key in words for name in parameters if name in words]
    return synonyms[0] if synonyms else nearest(key, parameters)


def call(path: str, made: Callable[..., Any], *args: Any, **values: Any) -> Any:
    """Calls a factory; reports an unknown or missing keyword in one line.

    >>> import optax
    >>> call("optax.adam", optax.adam, learning_rate=0.1, beta1=0.8)
    Traceback (most recent call last):
        ...
    jaxopt_notes.errors.InputError: beta1: optax.adam does not take it; did you mean b1?

    Raises:
      InputError: the factory does not take the arguments.
    """
    try:
        parameters = dict(inspect.signature(made).parameters)
    except (TypeError, ValueError):  # written in C
        parameters = {}
    anything = not parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for key in () if anything else values:
        if key not in parameters:
            near = _meant(key, parameters)
            remedy = f"did you mean {near}?" if near else f"it takes {', '.join(parameters)}"
            raise InputError(f"{key}: {path} does not take it; {remedy}")
    needed = [
        name
        for name, p in list(parameters.items())[len(args) :]
        if p.default is p.empty
        and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        and name not in values
    ]
    if needed:
        raise InputError(f"{path}: needs {', '.join(needed)}; pass {needed[0]}=VALUE")
    try:
        return made(*args, **values)
    except InputError:
        raise
    except Exception as error:  # the factory's own check of its arguments
        raise InputError(f"{path}: refuses its arguments ({first_line(error)})") from error
