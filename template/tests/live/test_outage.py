"""Outages of PostgreSQL: the service returns 503 and recovers."""

import asyncio
import json
import time
from collections.abc import Iterator
from threading import Timer

import httpx2
import pytest
from sqlalchemy import Connection, make_url, text

from app.core.database.engine import run_migrations
from tests.live import Proxy, Service, running
from tests.settings import make_settings


@pytest.fixture(scope="module")
def proxy(lasting_url: str) -> Proxy:
    """Return a proxy in front of PostgreSQL."""
    url = make_url(lasting_url)
    return Proxy(url.host or "127.0.0.1", url.port or 5432)


@pytest.fixture(scope="module")
def proxied_url(lasting_url: str, proxy: Proxy) -> str:
    """Return the URL of the database behind the proxy."""
    url = make_url(lasting_url).set(host="127.0.0.1", port=proxy.port)
    return url.render_as_string(hide_password=False)


@pytest.fixture(scope="module")
def service(proxied_url: str) -> Iterator[Service]:
    """Start a service that reaches the database through the proxy."""
    with running(proxied_url) as service:
        yield service


@pytest.fixture(scope="module")
def http(service: Service) -> Iterator[httpx2.Client]:
    """Return a client of a signed-in user."""
    headers = service.sign_up()
    with httpx2.Client(base_url=service.url, headers=headers, timeout=60) as client:
        yield client


def test_read_takes_one_round_trip(http: httpx2.Client, proxy: Proxy) -> None:
    for _ in range(20):  # Let every connection prepare the statement.
        http.get("/api/v1/users/me")
    before = proxy.messages
    for _ in range(10):
        http.get("/api/v1/users/me")
    assert proxy.messages - before == 10


def test_dropped_connections_are_replaced_before_use(http: httpx2.Client, proxy: Proxy) -> None:
    for _ in range(3):
        proxy.drop()
        time.sleep(0.1)
        for _ in range(5):
            assert http.get("/api/v1/users/me").status_code == 200


def test_outage_returns_503_and_service_recovers(http: httpx2.Client, proxy: Proxy) -> None:
    proxy.cut()
    change = {"name": "Anna"}
    for response in (
        http.get("/api/v1/users/me"),
        http.patch("/api/v1/users/me", json=change),
        http.get("/readyz"),
    ):
        assert response.status_code == 503
        assert int(response.headers["Retry-After"]) >= 1
        assert response.headers["Content-Type"] == "application/problem+json"
        assert "127.0.0.1" not in response.text
    assert http.get("/livez").status_code == 200
    proxy.mend()
    assert http.patch("/api/v1/users/me", json=change).status_code == 200
    assert http.get("/readyz").status_code == 200


def test_frozen_database_returns_503_after_the_timeouts(proxied_url: str, proxy: Proxy) -> None:
    async def main(service: Service, headers: dict[str, str]) -> list[int]:
        async with httpx2.AsyncClient(base_url=service.url, headers=headers, timeout=30) as many:
            requests = [many.get("/api/v1/users/me") for _ in range(30)]
            answers = await asyncio.gather(*requests, many.get("/livez"), many.get("/readyz"))
            return [answer.status_code for answer in answers]

    limits = {
        "DATABASE_CONNECT_TIMEOUT_SECONDS": "2",
        "DATABASE_STATEMENT_TIMEOUT_SECONDS": "1",
        "DATABASE_POOL_TIMEOUT_SECONDS": "2",
        "READINESS_TIMEOUT_SECONDS": "1",
    }
    with running(proxied_url, **limits) as service:
        headers = service.sign_up()
        service.get("/api/v1/users/me", **headers)
        proxy.freeze()
        answers = asyncio.run(main(service, headers))
        proxy.thaw()
        assert answers == [503] * 30 + [200, 503]
        assert service.get("/api/v1/users/me", **headers).status_code == 200


def test_outages_under_load_cause_only_503s(
    service: Service, http: httpx2.Client, proxy: Proxy
) -> None:
    async def main() -> set[int]:
        seen: set[int] = set()
        answered = asyncio.Condition()
        last = 0

        async def client(mine: httpx2.AsyncClient) -> None:
            nonlocal last
            while True:
                last = (await mine.get("/api/v1/users/me")).status_code
                seen.add(last)
                async with answered:
                    answered.notify_all()

        async def until(status: int) -> None:
            async with asyncio.timeout(60), answered:
                await answered.wait_for(lambda: last == status)

        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
        async with (
            httpx2.AsyncClient(
                base_url=service.url, headers=http.headers, limits=limits, timeout=60
            ) as mine,
            asyncio.TaskGroup() as group,
        ):
            clients = [group.create_task(client(mine)) for _ in range(32)]
            for _ in range(3):
                await until(200)
                proxy.cut()
                await until(503)
                proxy.mend()
            await until(200)
            for each in clients:
                each.cancel()
        return seen

    assert asyncio.run(main()) == {200, 503}
    assert http.get("/api/v1/users/me").status_code == 200


def test_migration_waits_longer_than_the_connect_timeout(proxied_url: str, proxy: Proxy) -> None:
    def look(connection: Connection) -> None:
        connection.execute(text("SELECT 1"))

    settings = make_settings(proxied_url, database_connect_timeout_seconds=2)
    proxy.freeze()
    Timer(3, proxy.thaw).start()
    run_migrations(settings, look)


def test_service_starts_without_the_database(proxied_url: str, proxy: Proxy) -> None:
    proxy.cut()
    with running(proxied_url, DATABASE_START_TIMEOUT_SECONDS="0.5") as service:
        assert service.get("/readyz").status_code == 503
        lines = [json.loads(line)["event"] for line in service.log.read_text().splitlines()]
        assert "stamina.retry_scheduled" in lines
        assert "database_unavailable" in lines
        proxy.mend()
        assert service.get("/readyz").status_code == 200
