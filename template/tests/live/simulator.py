"""HTTP client of the simulations."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

from tests.live import Service

PATH = "/api/v1/simulations"
ENDED = {"succeeded", "failed", "cancelled"}

# CPU time: almost none; one or two seconds; a few seconds; no end before a cancellation.
TINY = {"paths": 2, "steps": 10_000, "seed": 7}
SHORT = {"paths": 100, "steps": 10_000, "seed": 7}
LONG = {"paths": 300, "steps": 10_000, "seed": 7}
ENDLESS = {"paths": 10_000, "steps": 10_000, "seed": 7}


@dataclass(frozen=True)
class Simulator:
    """HTTP client of a signed-in user."""

    http: httpx2.Client

    def submit(self, form: dict[str, int], **headers: str) -> str:
        """Submit a simulation; return the path of the job."""
        response = self.http.post(PATH, json=form, headers=headers)
        assert response.status_code == 202, response.text
        return response.headers["Location"]

    def state(self, path: str) -> dict[str, Any]:
        """Return the state of a simulation."""
        response = self.http.get(path)
        assert response.status_code == 200, response.text
        state: dict[str, Any] = response.json()
        return state

    def wait(self, path: str, *, seconds: float = 120) -> dict[str, Any]:
        """Wait until the simulation has ended; return its state."""
        return self._wait(path, lambda state: state["status"] in ENDED, seconds)

    def wait_until_under_way(self, path: str, *, seconds: float = 120) -> None:
        """Wait until the simulation reports progress."""
        self._wait(path, lambda state: state["progress"] > 0, seconds)

    def wait_until_running(self, path: str, *, seconds: float = 120) -> None:
        """Wait until the simulation is running."""
        self._wait(path, lambda state: state["status"] == "running", seconds)

    def cancel(self, path: str) -> None:
        """Cancel a simulation."""
        response = self.http.delete(path)
        assert response.status_code == 204, response.text

    def _wait(self, path: str, condition: Any, seconds: float) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while not condition(state := self.state(path)):
            assert time.monotonic() < deadline, state
            time.sleep(0.1)
        return state


@contextmanager
def simulator(service: Service) -> Iterator[Simulator]:
    """Sign up a new user; yield a client of this user."""
    with httpx2.Client(base_url=service.url, headers=service.sign_up(), timeout=60) as http:
        yield Simulator(http)


def children(pid: int) -> list[tuple[int, str]]:
    """Return the ids and commands of a process's children, the busiest first."""
    command = ["ps", "-A", "-ww", "-o", "ppid=", "-o", "time=", "-o", "pid=", "-o", "args="]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [line.split(maxsplit=3) for line in listed.stdout.splitlines()]
    own = sorted((row for row in rows if int(row[0]) == pid), key=lambda row: row[1], reverse=True)
    return [(int(row[2]), row[3]) for row in own]
