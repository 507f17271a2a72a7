"""The documents name what is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FAULTS = re.findall(
    r"`([\w/]+\.py)::(\w+)`", (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
)


def test_at_least_25_faults_are_listed():
    assert len(FAULTS) >= 25


@pytest.mark.parametrize(("file", "name"), FAULTS)
def test_each_fault_of_the_table_is_a_test(file, name):
    assert f"\ndef {name}(" in (ROOT / "tests" / file).read_text(encoding="utf-8")
