"""Graceful shutdown of the service."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2

from tests.live import Service, running

FORM = b'{"email": "slow@example.com", "name": "Ann", "password": "correct horse"}'


@contextmanager
def unfinished_request(service: Service) -> Iterator[socket.socket]:
    """Send a request without its last byte; yield the connection."""
    url = httpx2.URL(service.url)
    head = (
        "POST /api/v1/users HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(FORM)}\r\n\r\n"
    )
    with socket.create_connection((url.host, url.port or 80), timeout=60) as connection:
        connection.sendall(head.encode() + FORM[:-1])
        time.sleep(0.3)
        yield connection


def test_shutdown_finishes_requests_until_the_graceful_timeout(lasting_url: str) -> None:
    settings = {"SHUTDOWN_DELAY_SECONDS": "3", "GRACEFUL_TIMEOUT_SECONDS": "10"}
    with (
        running(lasting_url, **settings) as service,
        unfinished_request(service) as ends,
        unfinished_request(service) as endless,
    ):
        service.process.terminate()
        # Load balancers see an unready service, which still serves all other requests.
        while (ready := service.get("/readyz")).headers.get("Connection") != "close":
            time.sleep(0.05)
        assert ready.status_code == 503
        assert service.get("/livez").status_code == 200
        time.sleep(3.1)
        ends.sendall(FORM[-1:])
        answer = ends.recv(65_536).lower()
        assert answer.startswith(b"http/1.1 201 ")
        assert b"connection: close" in answer
        answer = endless.recv(65_536).lower()
        assert answer.startswith(b"http/1.1 503 ")
        assert b"retry-after: 1" in answer
        assert service.process.wait(60) == 0
        cut = [line for line in service.log_lines() if line["event"] == "request_cut"]
        assert [(line["method"], line["path"]) for line in cut] == [("POST", "/api/v1/users")]
        assert "Application shutdown complete." in service.log.read_text()
