"""A service starts with its real commands and answers over HTTP; it ends when it is told to."""

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
# The machine has much else to do: what a service gives up after seconds takes it longer.
PATIENCE = {
    "DATABASE_BUSY_TIMEOUT_SECONDS": "60",
    "DATABASE_CONNECT_TIMEOUT_SECONDS": "60",
    "DATABASE_POOL_TIMEOUT_SECONDS": "60",
    "DATABASE_STATEMENT_TIMEOUT_SECONDS": "60",
}


@dataclass(frozen=True)
class Client:
    """Talks to the service on a port of this machine."""

    port: int

    def send(
        self, method: str, path: str, body: str = "", **headers: str
    ) -> tuple[int, dict[str, Any]]:
        """Send a request; return the status and the JSON of the answer.

        Whoever is told to come again does: the machine has much else to do.
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
        """Return whether it serves yet."""
        try:
            return self.send("GET", "/livez")[0] == 200
        except (OSError, HTTPException):
            return False


@dataclass(frozen=True)
class Running:
    """A service that was started, and the file that it prints to."""

    client: Client
    printed: Path


def free_port() -> int:
    """Return a port that nothing listens on, and that no client is given in the meantime."""
    while True:
        port = random.randrange(10_000, 30_000)  # noqa: S311 - no secret
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@contextmanager
def launched(
    service: Project, task: str, printed: Path, **settings: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Start one of a service's tasks, and stop it by a SIGTERM."""
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
    """Start a service by one of its tasks, and wait until it serves."""
    port = free_port()
    settings |= PATIENCE | {"HOST": "127.0.0.1", "PORT": str(port)}
    with launched(service, task, printed, **settings) as process:
        running = Running(Client(port), printed)
        wait_for(running.client, process, printed)
        yield running
    assert not running.client.is_live(), "it serves on after a SIGTERM"
    assert "Application shutdown complete" in printed.read_text(), "it was cut off"


def start_and_stop(service: Project, task: str, is_up: str, printed: Path, **settings: str) -> None:
    """Start one of its tasks, and wait until it says that it is up."""
    with launched(service, task, printed, **settings) as process:
        deadline = time.monotonic() + 120
        while is_up not in printed.read_text():
            assert process.poll() is None, f"it ended at its start:\n{printed.read_text()}"
            assert time.monotonic() < deadline, f"it does not start:\n{printed.read_text()}"
            time.sleep(0.1)
    assert process.returncode in {0, 128 + signal.SIGTERM}, printed.read_text()


def stop(process: subprocess.Popen[bytes]) -> None:
    """Tell a service to end, and see that it does."""
    process.terminate()
    try:
        process.wait(timeout=120)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise


def wait_for(client: Client, process: subprocess.Popen[bytes], printed: Path) -> None:
    """Wait until a service serves; the first start creates its database."""
    deadline = time.monotonic() + 120
    while not client.is_live():
        assert process.poll() is None, f"it ended at its start:\n{printed.read_text()}"
        assert time.monotonic() < deadline, f"it does not serve:\n{printed.read_text()}"
        time.sleep(0.1)


def sign_in(client: Client, email: str) -> str:
    """Return what says who is calling."""
    form = urlencode({"username": email, "password": PASSWORD})
    form_type = "application/x-www-form-urlencoded"
    status, token = client.send("POST", "/api/v1/auth/token", form, Content_Type=form_type)
    assert status == 200, token
    return f"Bearer {token['access_token']}"


def sign_up_and_look_around(client: Client, email: str) -> None:
    """Go the way of a new user through the service."""
    person = json.dumps({"email": email, "name": "Ada", "password": PASSWORD})
    status, created = client.send("POST", "/api/v1/users", person, Content_Type="application/json")
    # Taken by ourselves: a 503 does not say that a commit did not come through.
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
    """Run the commands that the service's README shows, as they are."""
    readme = (service.folder / "README.md").read_text("utf-8")
    shown = readme[readme.index("    api=http") : readme.index("## Work")]
    script = shown.replace(":8000", f":{client.port}")
    printed = service.run("bash", "-e", "-o", "pipefail", "-c", script)
    assert printed.count('"name":"Ann"') == 3
    assert '"next_cursor":null' in printed


def have_a_job_done(client: Client, email: str) -> None:
    """Hand a simulation in, as somebody who has signed up, and wait for its result."""
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


def test_a_service_serves_in_development_and_in_production(
    service: Project, tmp_path: Path
) -> None:
    with started(service, "dev", tmp_path / "dev.log") as development:
        sign_up_and_look_around(development.client, "ada@example.com")
        follow_the_readme(service, development.client)
        if service.answers["cpu_jobs"] != "none":
            have_a_job_done(development.client, "ada@example.com")
        assert development.client.send("GET", "/openapi.json")[0] == 200

        # Where its own servers are.
        printed = development.printed.read_text()
        settings = dict(re.findall(r"^([A-Z]+_URL)=(.+)$", printed, re.MULTILINE))
        settings["SECRET_KEY"] = "0123456789abcdef" * 3
        with started(service, "serve", tmp_path / "serve.log", **settings) as production:
            sign_up_and_look_around(production.client, "grace@example.com")
            assert production.client.send("GET", "/openapi.json")[0] == 404
        if service.answers["cpu_jobs"] == "celery":
            for task, is_up in (("worker", " ready."), ("beat", " is starting")):
                start_and_stop(service, task, is_up, tmp_path / f"{task}.log", **settings)
