"""Run of all tests and services, several at once, that resumes where the last run stopped.

python -m tests.everything                all tests of the template, and every service
python -m tests.everything --rest         only the services that `make test` does not run
python -m tests.everything --minutes 20   start nothing that would end after 20 minutes
"""

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests import test_chaos, test_container, test_smoke
from tests.matrix import (
    TEMPLATE,
    Answers,
    checkout_files,
    covering,
    label,
    pairwise,
    runtime_product,
)

PASSED = TEMPLATE / ".cache/passed.json"
LOGS = TEMPLATE / ".cache/logs"
PYTEST = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]


@dataclass(frozen=True)
class Unit:
    """Part of the tests that passes or fails as a whole."""

    name: str
    arguments: list[str]


@dataclass
class Record:
    """Units that passed, with their seconds, for one state of the code."""

    file: Path
    state: str
    passed: dict[str, float] = field(default_factory=dict)

    @classmethod
    def load(cls, file: Path, state: str) -> "Record":
        """Read the units that passed; none if the code has changed since."""
        record = cls(file, state)
        if file.exists():
            kept = json.loads(file.read_text())
            if kept["state"] == record.state:
                record.passed = kept["passed"]
        return record

    def add(self, unit: Unit, seconds: float) -> None:
        """Record that a unit passed, and write the file."""
        self.passed[unit.name] = seconds
        self.file.parent.mkdir(exist_ok=True)
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps({"state": self.state, "passed": self.passed}, indent=1))
        new.replace(self.file)


@dataclass
class Running:
    """Running unit, whose output goes to a log file."""

    unit: Unit
    process: subprocess.Popen[bytes]
    log: Path
    began: float = field(default_factory=time.monotonic)

    @classmethod
    def start(cls, unit: Unit) -> "Running":
        """Start a unit in a session of its own, which Ctrl-C does not reach."""
        log = LOGS / f"{unit.name.replace('/', '-').replace(' ', '-')}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as file:
            process = subprocess.Popen(
                [*PYTEST, *unit.arguments],
                cwd=TEMPLATE,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return cls(unit, process, log)

    def stop(self) -> None:
        """Interrupt the unit, so that pytest stops the servers that its tests started."""
        os.killpg(self.process.pid, signal.SIGINT)
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Run:
    """Run of units, several at once, that prints the result of each."""

    def __init__(self, units: list[Unit], record: Record, minutes: float) -> None:
        self.record = record
        self.total = len(units)
        self.ahead = [unit for unit in units if unit.name not in record.passed]
        self.running: list[Running] = []
        self.failed: list[str] = []
        self.ends = time.monotonic() + minutes * 60
        # The next unit may take as many seconds as the longest one so far.
        self.seconds = 0.0

    def run(self, jobs: int) -> int:
        """Run units until none is left or the time is up; return an exit code."""
        if before := self.total - len(self.ahead):
            say(f"{before} of {self.total} passed before, for this state of the code.")
        try:
            while self.begin(jobs):
                time.sleep(0.2)
                self.collect()
        except KeyboardInterrupt:
            say("\nInterrupted: run the same command again to resume.")
            return 130
        finally:
            for each in self.running:
                each.stop()
            self.summarize()
        return 1 if self.failed else 0

    def begin(self, jobs: int) -> bool:
        """Start units up to the limit while time is left; return whether any is running."""
        while (
            self.ahead and len(self.running) < jobs and time.monotonic() + self.seconds < self.ends
        ):
            self.running.append(Running.start(self.ahead.pop(0)))
        return bool(self.running)

    def collect(self) -> None:
        """Record and print the units that have ended."""
        for each in [each for each in self.running if each.process.poll() is not None]:
            self.running.remove(each)
            seconds = time.monotonic() - each.began
            self.seconds = max(self.seconds, seconds)
            number = f"[{self.total - len(self.ahead) - len(self.running):>2}/{self.total}]"
            if each.process.returncode == 0:
                self.record.add(each.unit, seconds)
                say(f"{number} {seconds:4.0f} s  {each.unit.name}")
            else:
                self.failed.append(each.unit.name)
                say(each.log.read_text(errors="replace")[-8_000:])
                say(f"{number} {seconds:4.0f} s  {each.unit.name}  FAILED: see {each.log}")

    def summarize(self) -> None:
        """Print the units that failed or did not run, and the totals."""
        left = [*(each.unit.name for each in self.running), *(unit.name for unit in self.ahead)]
        for name in left:
            say(f"not run: {name}")
        for name in self.failed:
            say(f"failed: {name}")
        say(f"{self.total - len(left) - len(self.failed)} passed, {len(self.failed)} failed")
        if left:
            say(f"{len(left)} of {self.total} were not run.")


def say(text: str) -> None:
    """Print a line and flush, so that a pipe shows the line at once."""
    print(text, flush=True)  # noqa: T201 - this is a command


def state_of_the_code() -> str:
    """Return a hash of the files of this checkout, committed or not."""
    state = hashlib.sha256()
    for name in checkout_files():
        state.update(f"{name}\0".encode() + (TEMPLATE / name).read_bytes())
    return state.hexdigest()


def units(*, rest: bool) -> list[Unit]:
    """Return all units, or the rest: the units that `make test` does not run."""
    services = [each for each in runtime_product() if not rest or each not in covering()]
    chosen = [about("tests/test_runtime.py", each) for each in services]
    for module, every in (
        (test_chaos, test_chaos.EVERY),
        (test_container, pairwise()),
        (test_smoke, pairwise()),
    ):
        left = [each for each in every if not rest or each not in module.SERVICES]
        chosen += [about(f"tests/{Path(str(module.__file__)).name}", each) for each in left]
    if rest:
        return rotated(chosen)
    names = [f"tests/{path.name}" for path in sorted(Path(__file__).parent.glob("test_*.py"))]
    services_modules = {unit.arguments[0] for unit in chosen}
    return [*chosen, *(Unit(name, [name]) for name in names if name not in services_modules)]


def rotated(chosen: list[Unit]) -> list[Unit]:
    """Return units in an order that depends on the commit, so that each starts with others."""
    commit = _git("rev-parse", "HEAD").strip()
    return sorted(
        chosen, key=lambda unit: hashlib.sha256(f"{commit} {unit.name}".encode()).digest()
    )


def about(module: str, answers: Answers) -> Unit:
    """Return the unit that runs the tests of a module for one service."""
    name = label(answers)
    return Unit(f"{module} {name}", [module, f"--service={name}"])


def main() -> int:
    """Run the units that the options choose; return an exit code."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--rest", action="store_true", help="only what `make test` leaves out")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="time limit")
    parser.add_argument("--jobs", type=int, default=2, help="units to run at once")
    options = parser.parse_args()
    record = Record.load(PASSED, state_of_the_code())
    return Run(units(rest=options.rest), record, options.minutes).run(options.jobs)


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=TEMPLATE, check=True, stdout=subprocess.PIPE)
    return done.stdout.decode()


if __name__ == "__main__":
    sys.exit(main())
