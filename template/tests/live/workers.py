"""Processes of Celery workers, started and stopped by tests."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

from tests.live import production, read_log
from tests.live.simulator import children

# With these seeds, the job of `tests.live.uncancellable_job` never ends, or ends its process.
STUBBORN_SEED = 13
SUICIDAL_SEED = 14


@dataclass(frozen=True)
class Worker:
    """Running Celery worker and its log."""

    process: subprocess.Popen[bytes]
    log: Path

    def log_lines(self) -> list[dict[str, Any]]:
        """Return the events of the worker's log."""
        return read_log(self.log)

    def begun(self) -> list[str]:
        """Return the request ids of the jobs that the worker has started."""
        lines = self.log_lines()
        return [line["request_id"] for line in lines if line["event"] == "job_started"]

    def stop(self) -> int:
        """Stop the worker with SIGTERM; return the exit code."""
        self.process.terminate()
        return self.process.wait(timeout=60)

    def kill(self) -> None:
        """Kill all processes of the worker."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def kill_busiest(self) -> None:
        """Kill the child process that has used the most CPU time."""
        os.kill(children(self.process.pid)[0][0], signal.SIGKILL)


@contextmanager
def working(database_url: str, app: str = "app.worker", **settings: str) -> Iterator[Worker]:
    """Start a worker with its own beat; return once the worker is ready."""
    command = [sys.executable, "-m", "celery", "--app", app, "worker", "--beat"]
    # RabbitMQ refuses the name of a killed worker until the old connection is closed.
    command += ["--hostname", f"{uuid4().hex}@%h"]
    # The worker must not read the developer's `.env` in the project's folder.
    with TemporaryDirectory() as folder, (Path(folder) / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--without-gossip", "--without-mingle"],
            cwd=folder,
            env=production(database_url, **settings),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        worker = Worker(process, Path(log.name))
        try:
            _wait(worker)
            yield worker
        finally:
            with suppress(ProcessLookupError):
                worker.kill()


def _wait(worker: Worker) -> None:
    deadline = time.monotonic() + 120
    while " ready." not in worker.log.read_text():
        if time.monotonic() > deadline or worker.process.poll() is not None:
            raise RuntimeError(worker.log.read_text())
        time.sleep(0.05)
