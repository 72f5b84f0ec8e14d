"""Run every service that runs differently, several at once, and go on where the last run stopped.

python -m tests.everything                all tests of the template, and every service
python -m tests.everything --rest         only the services that `make test` does not run
python -m tests.everything --minutes 20   begin no service that would not end in time
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
    """A part of the tests that passes or fails as a whole."""

    name: str
    arguments: list[str]


@dataclass
class Record:
    """The units that passed, with their seconds, for one state of the code."""

    file: Path
    state: str
    passed: dict[str, float] = field(default_factory=dict)

    @classmethod
    def load(cls, file: Path, state: str) -> "Record":
        """Read what passed; for another state of the code, nothing did."""
        record = cls(file, state)
        if file.exists():
            kept = json.loads(file.read_text())
            if kept["state"] == record.state:
                record.passed = kept["passed"]
        return record

    def add(self, unit: Unit, seconds: float) -> None:
        """Write down that a unit passed."""
        self.passed[unit.name] = seconds
        self.file.parent.mkdir(exist_ok=True)
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps({"state": self.state, "passed": self.passed}, indent=1))
        new.replace(self.file)


@dataclass
class Running:
    """A unit that is being run; what it prints goes to a file."""

    unit: Unit
    process: subprocess.Popen[bytes]
    log: Path
    began: float = field(default_factory=time.monotonic)

    @classmethod
    def start(cls, unit: Unit) -> "Running":
        """Start a unit, out of reach of Ctrl-C."""
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
        """Interrupt the unit, which then stops the servers that it started."""
        os.killpg(self.process.pid, signal.SIGINT)
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Run:
    """Runs units, several at once, and prints how each ends."""

    def __init__(self, units: list[Unit], record: Record, minutes: float) -> None:
        self.record = record
        self.total = len(units)
        self.ahead = [unit for unit in units if unit.name not in record.passed]
        self.running: list[Running] = []
        self.failed: list[str] = []
        self.ends = time.monotonic() + minutes * 60
        # The longest unit so far, which the next one may take.
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
            say("\nInterrupted: the same command goes on from here.")
            return 130
        finally:
            for each in self.running:
                each.stop()
            self.summarize()
        return 1 if self.failed else 0

    def begin(self, jobs: int) -> bool:
        """Start as many units as may run at once, if they end in time; return whether any runs."""
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
        """Print what did not pass."""
        left = [*(each.unit.name for each in self.running), *(unit.name for unit in self.ahead)]
        for name in left:
            say(f"not run: {name}")
        for name in self.failed:
            say(f"failed: {name}")
        say(f"{self.total - len(left) - len(self.failed)} passed, {len(self.failed)} failed")
        if left:
            say(f"{len(left)} of {self.total} were not run.")


def say(text: str) -> None:
    """Print at once, also into a pipe."""
    print(text, flush=True)  # noqa: T201 - this is a command


def state_of_the_code() -> str:
    """Return what identifies the files of this checkout, committed or not."""
    state = hashlib.sha256()
    for name in checkout_files():
        state.update(f"{name}\0".encode() + (TEMPLATE / name).read_bytes())
    return state.hexdigest()


def units(*, rest: bool) -> list[Unit]:
    """Return all units, or the rest: those that `make test` does not run."""
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
    """Return units in an order of the commit's own, so that other commits begin with other ones."""
    commit = _git("rev-parse", "HEAD").strip()
    return sorted(
        chosen, key=lambda unit: hashlib.sha256(f"{commit} {unit.name}".encode()).digest()
    )


def about(module: str, answers: Answers) -> Unit:
    """Return the tests of a module about one service."""
    name = label(answers)
    return Unit(f"{module} {name}", [module, f"--service={name}"])


def main() -> int:
    """Read the options and run what they choose; return an exit code."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--rest", action="store_true", help="only what `make test` does not run")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="the time there is")
    parser.add_argument("--jobs", type=int, default=2, help="how many to run at once")
    options = parser.parse_args()
    record = Record.load(PASSED, state_of_the_code())
    return Run(units(rest=options.rest), record, options.minutes).run(options.jobs)


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=TEMPLATE, check=True, stdout=subprocess.PIPE)
    return done.stdout.decode()


if __name__ == "__main__":
    sys.exit(main())
