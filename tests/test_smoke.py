"""Smoke tests: services start with their real commands, serve HTTP, and stop on SIGTERM."""

import json
import os
import random
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.matrix import extremes
from tests.project import Project, clean_environment, log

SERVICES = extremes()

PASSWORD = "correct horse battery staple"  # noqa: S105 - opens nothing
# The machine is busy with other tests, so the default timeouts of a few seconds are too short.
PATIENCE = {
    "DATABASE_BUSY_TIMEOUT_SECONDS": "60",
    "DATABASE_CONNECT_TIMEOUT_SECONDS": "60",
    "DATABASE_POOL_TIMEOUT_SECONDS": "60",
    "DATABASE_STATEMENT_TIMEOUT_SECONDS": "60",
}


@dataclass(frozen=True)
class Client:
    """HTTP client for the service on a port of this machine."""

    port: int

    def send(
        self, method: str, path: str, body: str = "", **headers: str
    ) -> tuple[int, dict[str, Any]]:
        """Send a request; return the status and the JSON of the response.

        A 503 with Retry-After is retried for 60 seconds, because the machine is busy.
        """
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        deadline = time.monotonic() + 60
        while True:
            with closing(HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
                connection.request(method, path, body, names)
                response = connection.getresponse()
                text = response.read()
            again = response.getheader("Retry-After")
            if response.status != 503 or not again or time.monotonic() > deadline:
                return response.status, json.loads(text) if text else {}
            time.sleep(float(again))

    def is_live(self) -> bool:
        """Return whether the service answers /livez."""
        try:
            return self.send("GET", "/livez")[0] == 200
        except (OSError, HTTPException):
            return False


@dataclass(frozen=True)
class Running:
    """Started service, and the file with its output."""

    client: Client
    printed: Path


def free_port() -> int:
    """Return a free port below the range from which the system assigns ports to clients."""
    while True:
        port = random.randrange(10_000, 30_000)  # noqa: S311 - no secret
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@contextmanager
def launched(
    service: Project, task: str, printed: Path, **settings: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a task of a service, and stop the process with SIGTERM at the end."""
    log.info("uv run poe %s", task)
    with (
        printed.open("w") as file,
        subprocess.Popen(
            ["uv", "run", "poe", task],
            cwd=service.folder,
            env=clean_environment(**settings),
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            stop(process)


@contextmanager
def started(service: Project, task: str, printed: Path, **settings: str) -> Iterator[Running]:
    """Start a service with one of its tasks, and wait until the service answers."""
    port = free_port()
    settings |= PATIENCE | {"HOST": "127.0.0.1", "PORT": str(port)}
    with launched(service, task, printed, **settings) as process:
        running = Running(Client(port), printed)
        wait_for(running.client, process, printed)
        yield running
    assert not running.client.is_live(), "the service answers after SIGTERM"
    assert "Application shutdown complete" in printed.read_text(), "the shutdown was cut short"


def start_and_stop(service: Project, task: str, is_up: str, printed: Path, **settings: str) -> None:
    """Start a task of a service, wait until its output has `is_up`, and stop the process."""
    with launched(service, task, printed, **settings) as process:
        deadline = time.monotonic() + 120
        while is_up not in printed.read_text():
            assert process.poll() is None, f"exited at start-up:\n{printed.read_text()}"
            assert time.monotonic() < deadline, f"start timed out:\n{printed.read_text()}"
            time.sleep(0.1)
    assert process.returncode in {0, 128 + signal.SIGTERM}, printed.read_text()


def stop(process: subprocess.Popen[bytes]) -> None:
    """Send SIGTERM to a service; kill the process group if the service does not stop."""
    process.terminate()
    try:
        process.wait(timeout=120)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise


def wait_for(client: Client, process: subprocess.Popen[bytes], printed: Path) -> None:
    """Wait until a service answers; its first start creates the database."""
    deadline = time.monotonic() + 120
    while not client.is_live():
        assert process.poll() is None, f"exited at start-up:\n{printed.read_text()}"
        assert time.monotonic() < deadline, f"start timed out:\n{printed.read_text()}"
        time.sleep(0.1)


def sign_in(client: Client, email: str) -> str:
    """Sign in; return the value of the Authorization header."""
    form = urlencode({"username": email, "password": PASSWORD})
    form_type = "application/x-www-form-urlencoded"
    status, token = client.send("POST", "/api/v1/auth/token", form, Content_Type=form_type)
    assert status == 200, token
    return f"Bearer {token['access_token']}"


def sign_up_and_look_around(client: Client, email: str) -> None:
    """Sign up, sign in, and read users as a new user does."""
    person = json.dumps({"email": email, "name": "Ada", "password": PASSWORD})
    status, created = client.send("POST", "/api/v1/users", person, Content_Type="application/json")
    # A 409 follows a 503 whose commit succeeded: the retry finds its own e-mail taken.
    assert status in {201, 409}, created

    bearer = sign_in(client, email)
    status, me = client.send("GET", "/api/v1/users/me", Authorization=bearer)
    assert (status, me["email"]) == (200, email)
    status, page = client.send("GET", "/api/v1/users", Authorization=bearer)
    assert status == 200, page
    assert me["id"] in [user["id"] for user in page["items"]]
    status, problem = client.send("GET", "/api/v1/users/me")
    assert (status, problem["status"]) == (401, 401)


def follow_the_readme(service: Project, client: Client) -> None:
    """Run the commands of the service's README, with only the port changed."""
    readme = (service.folder / "README.md").read_text("utf-8")
    shown = readme[readme.index("    api=http") : readme.index("## Work")]
    script = shown.replace(":8000", f":{client.port}")
    printed = service.run("bash", "-e", "-o", "pipefail", "-c", script)
    assert printed.count('"name":"Ann"') == 3
    assert '"next_cursor":null' in printed


def have_a_job_done(client: Client, email: str) -> None:
    """Submit a simulation as a user who has signed up, and wait for its result."""
    bearer = sign_in(client, email)
    form = json.dumps({"paths": 10, "steps": 10, "seed": 7})
    headers = {"Authorization": bearer, "Content_Type": "application/json"}
    status, job = client.send("POST", "/api/v1/simulations", form, **headers)
    assert status == 202, job
    deadline = time.monotonic() + 120
    while job["status"] in {"queued", "running"}:
        assert time.monotonic() < deadline, job
        time.sleep(0.1)
        job = client.send("GET", f"/api/v1/simulations/{job['id']}", Authorization=bearer)[1]
    assert job["status"] == "succeeded", job


def test_service_runs_in_development_and_in_production(service: Project, tmp_path: Path) -> None:
    with started(service, "dev", tmp_path / "dev.log") as development:
        sign_up_and_look_around(development.client, "ada@example.com")
        follow_the_readme(service, development.client)
        if service.answers["cpu_jobs"] != "none":
            have_a_job_done(development.client, "ada@example.com")
        assert development.client.send("GET", "/openapi.json")[0] == 200

        # Production uses the servers that `poe dev` started.
        printed = development.printed.read_text()
        settings = dict(re.findall(r"^([A-Z]+_URL)=(.+)$", printed, re.MULTILINE))
        settings["SECRET_KEY"] = "0123456789abcdef" * 3
        with started(service, "serve", tmp_path / "serve.log", **settings) as production:
            sign_up_and_look_around(production.client, "grace@example.com")
            assert production.client.send("GET", "/openapi.json")[0] == 404
        if service.answers["cpu_jobs"] == "celery":
            for task, is_up in (("worker", " ready."), ("beat", " is starting")):
                start_and_stop(service, task, is_up, tmp_path / f"{task}.log", **settings)
