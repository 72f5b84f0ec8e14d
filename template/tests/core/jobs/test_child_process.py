"""Child process that runs jobs: results, errors, signals and exit."""

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from ctypes import c_double
from multiprocessing import get_context
from multiprocessing.sharedctypes import RawValue
from typing import Any

import pytest

from app.core.jobs.child_process import serve

Report = Callable[[float], None]


def double(value: int, report: Report) -> Mapping[str, Any]:
    report(0.5)
    return {"value": 2 * value}


def fail(value: str, report: Report) -> Mapping[str, Any]:
    report(7)
    raise {"StopIteration": StopIteration, "SystemExit": SystemExit}.get(value, ValueError)(value)


def return_text(value: int, report: Report) -> Mapping[str, Any]:
    report(0)
    return {"text": "x" * value}


def exit_process(value: int, report: Report) -> Mapping[str, Any]:
    report(0)
    os._exit(value)


class Child:
    """Child process, and the pipe to it."""

    def __init__(self) -> None:
        spawn = get_context("spawn")
        self.progress: c_double = RawValue(c_double)
        self.pipe, theirs = spawn.Pipe()
        self.process = spawn.Process(target=serve, args=(theirs, self.progress))
        self.process.start()
        theirs.close()

    def do(self, run: Callable[..., Mapping[str, Any]], value: object) -> Any:
        """Run a job, and return its outcome."""
        self.pipe.send((run, {"value": value}, 1_000))
        return self.pipe.recv()


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    """Start one process for all of these tests, as no job may end the process."""
    child = Child()
    yield child
    child.process.kill()
    child.process.join()


def test_result_of_a_job_is_returned(child: Child) -> None:
    assert child.do(double, 21) == ('{"value": 42}', "")
    assert child.progress.value == 0.5


@pytest.mark.parametrize("kind", ["ValueError", "StopIteration", "SystemExit"])
def test_traceback_of_a_failed_job_is_returned(child: Child, kind: str) -> None:
    result, error = child.do(fail, kind)
    assert result is None
    assert error.strip().endswith(f"{kind}: {kind}")
    assert child.progress.value == 1


def test_large_result_is_refused(child: Child) -> None:
    assert "ResultTooLarge" in child.do(return_text, 1_000)[1]


def test_signals_to_the_process_group_are_ignored(child: Child) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(child.process.pid or 0, number)
    assert child.do(double, 1)[0]


def test_parent_notices_the_exit() -> None:
    child = Child()
    with pytest.raises(EOFError):
        child.do(exit_process, 3)
    child.process.join(timeout=30)
    assert child.process.exitcode == 3


def test_jobs_have_a_lower_priority_than_requests(child: Child) -> None:
    child.do(double, 1)
    niceness, pid = os.getpriority(os.PRIO_PROCESS, 0), child.process.pid or 0
    assert os.getpriority(os.PRIO_PROCESS, pid) > niceness
