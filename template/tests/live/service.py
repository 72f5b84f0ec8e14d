"""Process of the service in a production environment, started and stopped by tests."""

import json
import os
import socket
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

import httpx2

from tests.settings import PATIENCE

ROOT = Path(__file__).parent.parent.parent
# `poe serve` runs this command, which works in any folder.
SERVE = [sys.executable, "-m", "app"]
PASSWORD = "correct horse battery staple"


@dataclass(frozen=True)
class Service:
    """Running process of the service, its URL and its log."""

    url: str
    log: Path
    process: subprocess.Popen[bytes]

    def log_lines(self) -> list[dict[str, Any]]:
        """Return the events of the service's log."""
        return read_log(self.log)

    def get(self, path: str, **headers: str) -> httpx2.Response:
        """Send a GET request on a new connection."""
        return httpx2.get(f"{self.url}{path}", headers=headers, timeout=60)

    def sign_up(self) -> dict[str, str]:
        """Sign up and sign in a new user; return the headers that authenticate the user."""
        form = {"email": f"{uuid4().hex}@example.com", "name": "Ann", "password": PASSWORD}
        credentials = {"username": form["email"], "password": PASSWORD}
        with httpx2.Client(base_url=self.url, timeout=60) as http:
            http.post("/api/v1/users", json=form).raise_for_status()
            token = http.post("/api/v1/auth/token", data=credentials).raise_for_status().json()
        return {"Authorization": f"Bearer {token['access_token']}"}


def read_log(log: Path) -> list[dict[str, Any]]:
    """Return the events of a log, without a last line that is still being written."""
    lines = log.read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]


def production(database_url: str, **settings: str) -> dict[str, str]:
    """Return a production environment, in which hashing a password takes a millisecond."""
    return {
        **os.environ,
        **PATIENCE,
        "DATABASE_URL": database_url,
        "ENVIRONMENT": "production",
        "PASSWORD_HASH_MEMORY_KIB": "32",
        "PYTHONPATH": str(ROOT),
        "SECRET_KEY": "a secret of production " * 2,
        # No load balancer needs time to notice the shutdown.
        "SHUTDOWN_DELAY_SECONDS": "0",
        "SIGN_IN_ATTEMPTS_PER_EMAIL_AND_IP": "100000",
        "SIGN_IN_ATTEMPTS_PER_EMAIL": "100000",
        "SIGN_IN_ATTEMPTS_PER_IP": "100000",
        "SIGN_UPS_PER_IP": "100000",
        # {% if server == "gunicorn" %}
        "WEB_CONCURRENCY": "1",
        # {% endif %}
        **settings,
    }


@contextmanager
def running(database_url: str, **settings: str) -> Iterator[Service]:
    """Start the service with the command of `poe serve`; stop the process with SIGTERM."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = production(database_url, PORT=str(port), **settings)
    # The service must not read the developer's `.env` in the project's folder.
    with TemporaryDirectory() as folder, (Path(folder) / "log").open("wb") as log:
        process = subprocess.Popen(SERVE, cwd=folder, env=environment, stdout=log, stderr=log)
        service = Service(f"http://127.0.0.1:{port}", Path(log.name), process)
        try:
            _wait(service)
            yield service
        finally:
            process.terminate()
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


def _wait(service: Service) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and service.process.poll() is None:
        with suppress(httpx2.TransportError):
            service.get("/livez")
            return
        time.sleep(0.05)
    raise RuntimeError(service.log.read_text())
