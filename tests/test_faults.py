"""Faults of `make faults`, each of which must apply to the current code."""

from collections import Counter
from pathlib import Path

import pytest

from tests.faults import FAULTS, Fault, plant


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fault_can_be_planted(fault: Fault, tmp_path: Path, template: Path) -> None:
    copied = tmp_path / fault.file
    copied.parent.mkdir(parents=True, exist_ok=True)
    before = (template / fault.file).read_text()
    copied.write_text(before)
    plant(fault, tmp_path)
    assert copied.read_text() != before


def test_fault_names_are_unique() -> None:
    assert max(Counter(fault.name for fault in FAULTS).values()) == 1
    assert {fault.found_by for fault in FAULTS} == {"make test", "make test-all"}
