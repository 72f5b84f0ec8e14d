"""Pytest plugin that prints the time of each module and of each kind of step.

Each step of a test (a render, a command) is measured in its worker, in seconds and CPU seconds.
Workers send their steps to the controller with the report of the test.
"""

import os
import re
import time
from collections import defaultdict
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

# A command is of the first kind whose pattern matches.
KINDS = {
    "chaos": r"test_chaos\.py",
    "service: poe check": r"poe check",
    "service: poe test-live": r"poe test-live",
    "service: poe test": r"poe test|\bpytest\b",
    "service: poe setup, update": r"poe (setup|update)|scripts\.(update|doctor)",
    "uv lock, uv sync": r"uv (sync|lock|export)",
    "mypy": r"\bmypy\b",
    "import contracts": r"lint-imports",
    "OpenAPI documents": r"documents\.py",
    "ruff": r"\bruff\b",
    "pre-commit": r"pre-commit",
    "copier (command line)": r"\bcopier\b",
    "git": r"^git\b",
}


class _Steps:
    """Outermost steps of the current test, with their seconds and CPU seconds."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, float, float]] = []
        self.is_inside = False
        self.cpu_of_last_report = _cpu_seconds()

    def take(self) -> tuple[list[tuple[str, float, float]], float]:
        """Return the steps and the CPU seconds since the last call."""
        taken, self.taken = self.taken, []
        before, self.cpu_of_last_report = self.cpu_of_last_report, _cpu_seconds()
        return taken, self.cpu_of_last_report - before


def _cpu_seconds() -> float:
    """Return the CPU seconds of this process and of its child processes that have ended."""
    return sum(os.times()[:4])


_steps = _Steps()


@contextmanager
def step(kind: str) -> Iterator[None]:
    """Measure a step; a step within another one is not measured."""
    if _steps.is_inside:
        yield
        return
    began, cpu = time.perf_counter(), _cpu_seconds()
    _steps.is_inside = True
    try:
        yield
    finally:
        _steps.is_inside = False
        _steps.taken.append((kind, time.perf_counter() - began, _cpu_seconds() - cpu))


def kind_of(command: str) -> str:
    """Return the kind of step of a command, or `other`."""
    # Names of folders might match a pattern by accident.
    words = " ".join(word.rpartition("/")[2] for word in command.split())
    return next((kind for kind, found in KINDS.items() if re.search(found, words)), "other")


class Timing:
    """Seconds of each module and of each kind of step, summed over all workers."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.modules: dict[str, _Sum] = defaultdict(_Sum)
        self.kinds: dict[str, _Sum] = defaultdict(_Sum)
        self.tests: dict[str, _Sum] = defaultdict(_Sum)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self,
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Attach the steps of this phase of the test to its report."""
        report = yield
        # pytest-xdist sends every attribute of a report that is plain data.
        report.__dict__["steps"], report.__dict__["cpu"] = _steps.take()
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add the time of a phase of a test to the sums."""
        module = report.nodeid.partition("::")[0]
        cpu = report.__dict__.get("cpu", 0.0)
        self.modules[module].add(report.duration, cpu, count=report.when == "call")
        self.tests[report.nodeid].add(report.duration, cpu, count=True)
        for kind, seconds, cpu_of_step in report.__dict__.get("steps", ()):
            self.kinds[kind].add(seconds, cpu_of_step, count=True)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table."""
        total, in_steps = _Sum(), _Sum()
        for each in self.modules.values():
            total.add(each.seconds, each.cpu)
        for each in self.kinds.values():
            in_steps.add(each.seconds, each.cpu)
        rest = _Sum(total.seconds - in_steps.seconds, total.cpu - in_steps.cpu)
        work, cpu = total.seconds / 60, total.cpu / 60
        minutes = (time.monotonic() - self.began) / 60
        lines = [
            *_table("module", "tests", self.modules, total),
            *_table("kind of step", "steps", {**self.kinds, "outside of steps": rest}, total),
            "",
            "slowest tests, with their set-up:",
            *(f"{each.seconds:>8.1f}  {name}" for name, each in _most_first(self.tests)[:10]),
            "",
            f"{work:.1f} minutes of work, {cpu:.1f} of CPU, {minutes:.1f} elapsed",
        ]
        terminalreporter.section("time per module and step")
        terminalreporter.write_line("\n".join(lines))


@dataclass
class _Sum:
    seconds: float = 0.0
    cpu: float = 0.0
    count: int = 0

    def add(self, seconds: float, cpu: float, *, count: bool = False) -> None:
        self.seconds += seconds
        self.cpu += cpu
        self.count += count


def _table(title: str, counted: str, rows: dict[str, _Sum], total: _Sum) -> list[str]:
    lines = ["", f"{title:<44}{counted:>7}{'seconds':>9}{'CPU':>8}{'share':>7}"]
    for name, each in _most_first(rows):
        share = each.cpu / (total.cpu or 1)
        lines.append(f"{name:<44}{each.count:>7}{each.seconds:>9.1f}{each.cpu:>8.1f}{share:>7.0%}")
    return lines


def _most_first(rows: dict[str, _Sum]) -> list[tuple[str, _Sum]]:
    return sorted(rows.items(), key=lambda pair: -pair[1].seconds)
