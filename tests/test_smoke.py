"""A service starts with its real commands and answers over HTTP; it ends when it is told to."""

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.project import Project, clean_environment, log

PASSWORD = "correct horse battery staple"  # noqa: S105 - opens nothing


@dataclass(frozen=True)
class Client:
    """Talks to the service on a port of this machine."""

    port: int

    def send(
        self, method: str, path: str, body: str = "", **headers: str
    ) -> tuple[int, dict[str, Any]]:
        """Send a request; return the status and the JSON of the answer."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request(method, path, body, names)
            response = connection.getresponse()
            text = response.read()
        return response.status, json.loads(text) if text else {}

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
    """Return a port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@contextmanager
def started(service: Project, task: str, printed: Path, **settings: str) -> Iterator[Running]:
    """Start a service by one of its tasks, wait until it serves, and stop it by a SIGTERM."""
    port = free_port()
    settings |= {"HOST": "127.0.0.1", "PORT": str(port)}
    log.info("uv run poe %s  [port %d]", task, port)
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
        running = Running(Client(port), printed)
        try:
            wait_for(running.client, process, printed)
            yield running
        finally:
            stop(process)
    assert not running.client.is_live(), "it serves on after a SIGTERM"
    assert "Application shutdown complete" in printed.read_text(), "it was cut off"


def stop(process: subprocess.Popen[bytes]) -> None:
    """Tell a service to end, and see that it does."""
    process.terminate()
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise


def wait_for(client: Client, process: subprocess.Popen[bytes], printed: Path) -> None:
    """Wait until a service serves; the first start creates its database."""
    deadline = time.monotonic() + 60
    while not client.is_live():
        assert process.poll() is None, f"it ended at its start:\n{printed.read_text()}"
        assert time.monotonic() < deadline, f"it does not serve:\n{printed.read_text()}"
        time.sleep(0.1)


def sign_up_and_look_around(client: Client, email: str) -> None:
    """Go the way of a new user through the service."""
    person = json.dumps({"email": email, "name": "Ada", "password": PASSWORD})
    status, created = client.send("POST", "/api/v1/users", person, Content_Type="application/json")
    assert status == 201, created

    form = urlencode({"username": email, "password": PASSWORD})
    form_type = "application/x-www-form-urlencoded"
    status, token = client.send("POST", "/api/v1/auth/token", form, Content_Type=form_type)
    assert status == 200, token
    bearer = f"Bearer {token['access_token']}"

    status, me = client.send("GET", "/api/v1/users/me", Authorization=bearer)
    assert (status, me["email"]) == (200, email)
    status, page = client.send("GET", "/api/v1/users", Authorization=bearer)
    assert status == 200, page
    assert created["id"] in [user["id"] for user in page["items"]]
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


def test_a_service_serves_in_development_and_in_production(
    service: Project, tmp_path: Path
) -> None:
    with started(service, "dev", tmp_path / "dev.log") as development:
        sign_up_and_look_around(development.client, "ada@example.com")
        follow_the_readme(service, development.client)
        assert development.client.send("GET", "/openapi.json")[0] == 200

        # Where its own servers are.
        printed = development.printed.read_text()
        settings = dict(re.findall(r"^([A-Z]+_URL)=(.+)$", printed, re.MULTILINE))
        settings["SECRET_KEY"] = "0123456789abcdef" * 3
        with started(service, "serve", tmp_path / "serve.log", **settings) as production:
            sign_up_and_look_around(production.client, "grace@example.com")
            assert production.client.send("GET", "/openapi.json")[0] == 404
