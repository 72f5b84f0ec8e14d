"""Runs of tests/everything.py: how they resume, and which units count as passed."""

from pathlib import Path

import pytest

from tests import everything
from tests.everything import Record, Run, Unit
from tests.matrix import covering, label, runtime_product

GOOD = Unit("good", ["--version"])
BAD = Unit("bad", ["--no-such-option"])


@pytest.fixture(autouse=True)
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the logs of the units out of the checkout."""
    monkeypatch.setattr(everything, "LOGS", tmp_path / "logs")


def test_run_resumes_after_passed_units(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "passed.json"
    assert Run([GOOD, BAD], Record(file, "one"), minutes=1).run(jobs=2) == 1
    printed = capsys.readouterr().out
    assert "bad  FAILED" in printed
    assert "no-such-option" in printed
    assert "1 passed, 1 failed" in printed

    assert Run([GOOD, BAD], Record.load(file, "one"), minutes=1).run(jobs=1) == 1
    printed = capsys.readouterr().out
    assert "1 of 2 passed before" in printed
    assert "s  good" not in printed


def test_changed_code_discards_the_record(tmp_path: Path) -> None:
    file = tmp_path / "passed.json"
    Record(file, "one").add(GOOD, 1.0)
    assert Record.load(file, "one").passed == {"good": 1.0}
    assert not Record.load(file, "two").passed


def test_units_not_run_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert Run([GOOD], Record(tmp_path / "passed.json", "one"), minutes=0).run(jobs=2) == 0
    printed = capsys.readouterr().out
    assert "not run: good" in printed
    assert "0 passed, 0 failed" in printed
    assert "1 of 1 were not run." in printed


def test_covering_set_and_rest_are_all_services() -> None:
    rest = {unit.name for unit in everything.units(rest=True)}
    left = {f"tests/test_runtime.py {label(each)}" for each in runtime_product()} - rest
    assert left == {f"tests/test_runtime.py {label(each)}" for each in covering()}
    everyone = {unit.name for unit in everything.units(rest=False)}
    assert rest < everyone
    assert {f"tests/test_runtime.py {label(each)}" for each in runtime_product()} < everyone
    assert "tests/test_hooks.py" in everyone
