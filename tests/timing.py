"""Where the time of a test run goes: a pytest plugin that ends a run with a table.

Each step that a test takes (a render, a command) is measured where it runs. Workers send their
steps to the controller with the report of the test.
"""

import re
import time
from collections import defaultdict
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import pytest

# The kind of step that a command is: the first pattern that is found in it.
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
    """The steps that the current test has taken: the outermost ones, with their seconds."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, float]] = []
        self.is_inside = False

    def take(self) -> list[tuple[str, float]]:
        """Return the steps since the last call."""
        taken, self.taken = self.taken, []
        return taken


_steps = _Steps()


@contextmanager
def step(kind: str) -> Iterator[None]:
    """Measure a step, unless it is part of another one."""
    if _steps.is_inside:
        yield
        return
    began = time.perf_counter()
    _steps.is_inside = True
    try:
        yield
    finally:
        _steps.is_inside = False
        _steps.taken.append((kind, time.perf_counter() - began))


def kind_of(command: str) -> str:
    """Return the kind of step that a command is."""
    # Folders say nothing, and their names may mislead.
    words = " ".join(word.rpartition("/")[2] for word in command.split())
    return next((kind for kind, found in KINDS.items() if re.search(found, words)), "other")


class Timing:
    """The seconds of each module and of each kind of step, summed over all workers."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.tests: dict[str, int] = defaultdict(int)
        self.modules: dict[str, float] = defaultdict(float)
        self.kinds: dict[str, list[float]] = defaultdict(list)
        self.each: dict[str, float] = defaultdict(float)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self,
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Attach the steps of this phase of the test to its report."""
        report = yield
        # Reports travel from a worker with every attribute that is plain data.
        report.__dict__["steps"] = _steps.take()
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add what a phase of a test took."""
        module = report.nodeid.partition("::")[0]
        self.tests[module] += report.when == "call"
        self.modules[module] += report.duration
        self.each[report.nodeid] += report.duration
        for kind, seconds in report.__dict__.get("steps", ()):
            self.kinds[kind].append(seconds)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the table."""
        everything = sum(self.modules.values())
        lines = ["", f"{'module':<44}{'tests':>7}{'seconds':>9}{'share':>7}"]
        for module, seconds in _most_first(self.modules):
            share = seconds / (everything or 1)
            lines.append(f"{module:<44}{self.tests[module]:>7}{seconds:>9.1f}{share:>7.0%}")
        lines += ["", f"{'kind of step':<44}{'steps':>7}{'seconds':>9}{'share':>7}"]
        known = {kind: sum(taken) for kind, taken in self.kinds.items()}
        for kind, seconds in _most_first(
            {**known, "the tests themselves": everything - sum(known.values())}
        ):
            count = len(self.kinds.get(kind, ()))
            lines.append(f"{kind:<44}{count:>7}{seconds:>9.1f}{seconds / (everything or 1):>7.0%}")
        lines += ["", "slowest tests, with their set-up:"]
        lines += [f"{seconds:>8.1f}  {test}" for test, seconds in _most_first(self.each)[:10]]
        minutes = (time.monotonic() - self.began) / 60
        lines += ["", f"{everything / 60:.1f} minutes of work in {minutes:.1f} minutes"]
        terminalreporter.section("where the time went")
        terminalreporter.write_line("\n".join(lines))


def _most_first(seconds: dict[str, float]) -> list[tuple[str, float]]:
    return sorted(seconds.items(), key=lambda pair: -pair[1])
