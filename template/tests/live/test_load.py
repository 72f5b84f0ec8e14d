"""Concurrent requests to a running service."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event
from typing import Any
from uuid import uuid4

import httpx2
from sqlalchemy import Connection, update

from app.core.database.engine import run_migrations
from app.domains.users.models import User
from tests.live import PASSWORD, Service
from tests.settings import make_settings


def client(service: Service, **options: Any) -> httpx2.AsyncClient:
    """Return a client that opens a connection for every concurrent request."""
    limits = httpx2.Limits(max_connections=None)
    return httpx2.AsyncClient(base_url=service.url, limits=limits, timeout=60, **options)


def signed_in(service: Service) -> httpx2.AsyncClient:
    """Return a client of a new signed-in user."""
    return client(service, headers=service.sign_up())


def statuses(responses: list[httpx2.Response]) -> list[int]:
    return sorted(response.status_code for response in responses)


@contextmanager
def blocked_writes(url: str) -> Iterator[None]:
    """Lock every user in a transaction that stays open."""
    held, over = Event(), Event()

    def hold(connection: Connection) -> None:
        connection.execute(update(User).values(name="Locked"))
        held.set()
        over.wait()

    with ThreadPoolExecutor(1) as threads:
        holding = threads.submit(run_migrations, make_settings(url), hold)
        try:
            assert held.wait(60)
            yield
        finally:
            over.set()
            holding.result()


def test_256_concurrent_requests_succeed(service: Service) -> None:
    async def main() -> list[int]:
        async with signed_in(service) as http:
            requests = [http.get("/api/v1/users/me") for _ in range(256)]
            return statuses(await asyncio.gather(*requests))

    assert asyncio.run(main()) == [200] * 256


def test_livez_responds_while_writes_wait_for_a_lock(service: Service, lasting_url: str) -> None:
    async def main() -> list[int]:
        async with signed_in(service) as http, client(service) as prober:
            with blocked_writes(lasting_url):
                # 100 requests exceed the connection pool and the thread pool.
                change = {"name": "Ann"}
                requests = [
                    asyncio.create_task(http.patch("/api/v1/users/me", json=change))
                    for _ in range(100)
                ]
                for _ in range(10):
                    await asyncio.sleep(0.1)
                    assert (await prober.get("/livez")).status_code == 200
                assert not any(request.done() for request in requests)
            return statuses(await asyncio.gather(*requests))

    assert asyncio.run(main()) == [200] * 100


def test_concurrent_sign_ups_with_one_email_create_one_user(service: Service) -> None:
    async def main() -> list[int]:
        form = {"email": f"{uuid4().hex}@example.com", "name": "Ann", "password": PASSWORD}
        async with client(service) as http:
            requests = [http.post("/api/v1/users", json=form) for _ in range(20)]
            return statuses(await asyncio.gather(*requests))

    assert asyncio.run(main()) == [201] + [409] * 19


def test_concurrent_updates_of_different_fields_are_both_kept(service: Service) -> None:
    async def main() -> None:
        async with signed_in(service) as http:
            for number in range(20):
                change = {"name": f"Ann {number}"}, {"email": f"{uuid4().hex}@example.com"}
                requests = [http.patch("/api/v1/users/me", json=each) for each in change]
                assert statuses(await asyncio.gather(*requests)) == [200, 200]
                account = (await http.get("/api/v1/users/me")).json()
                assert account["name"] == change[0]["name"]
                assert account["email"] == change[1]["email"]

    asyncio.run(main())


def test_concurrent_updates_with_one_etag_succeed_once(service: Service) -> None:
    async def main() -> list[int]:
        async with signed_in(service) as http:
            tag = (await http.get("/api/v1/users/me")).headers["ETag"]
            requests = [
                http.patch("/api/v1/users/me", json={"name": f"{n}"}, headers={"If-Match": tag})
                for n in range(20)
            ]
            return statuses(await asyncio.gather(*requests))

    assert asyncio.run(main()) == [200] + [412] * 19


def test_created_user_is_readable_right_after_the_response(service: Service) -> None:
    async def write_and_read(http: httpx2.AsyncClient) -> bool:
        form = {"email": f"{uuid4().hex}@example.com", "name": "Ann", "password": PASSWORD}
        created = await http.post("/api/v1/users", json=form)
        read = await http.get(created.headers["Location"])
        return read.status_code == 200

    async def main() -> list[bool]:
        async with signed_in(service) as http:
            pairs: list[Awaitable[bool]] = [write_and_read(http) for _ in range(200)]
            return await asyncio.gather(*pairs)

    assert all(asyncio.run(main()))


def test_oversized_body_is_rejected_before_its_end(service: Service) -> None:
    url = httpx2.URL(service.url)
    head = b"POST /api/v1/users HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection((url.host, url.port or 80), timeout=60) as connection:
        connection.sendall(head + b"%x\r\n" % 1_000_001 + b"x" * 1_000_001 + b"\r\n")
        # The service responds although the body has no end.
        assert connection.recv(65_536).startswith(b"HTTP/1.1 413 ")


def test_request_writes_one_log_line(service: Service) -> None:
    request_id = uuid4().hex
    service.get(f"/api/v1/users/{uuid4()}?q=1", **{"X-Request-ID": request_id})
    mine: list[dict[str, Any]] = []
    deadline = time.monotonic() + 20
    # The service logs after the response; a duplicate line would follow within the pause.
    while not mine:
        assert time.monotonic() < deadline
        time.sleep(0.2)
        mine = [line for line in service.log_lines() if line.get("request_id") == request_id]
    assert len(mine) == 1
    assert mine[0]["event"] == "request"
    assert mine[0]["route"] == "/api/v1/users/{user_id}"
    assert mine[0]["status"] == 401
    assert mine[0]["duration_ms"] > 0
