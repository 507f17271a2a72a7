"""Cases of one test: a few are quick tests, the others slow ones."""

from collections.abc import Callable, Collection, Iterable
from typing import Any

import pytest


def slow_but(
    quick: Collection[Any], cases: Iterable[Any], label: Callable[[Any], str] | None = None
) -> list[Any]:
    """All cases for `pytest.mark.parametrize`; those that are not in `quick` are slow tests."""
    return [
        pytest.param(
            *(case if type(case) is tuple else (case,)),
            id=label and label(case),
            marks=[] if case in quick else pytest.mark.slow,
        )
        for case in cases
    ]
