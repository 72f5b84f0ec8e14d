"""Two replicas that share a cache while Redis is killed, frozen, full or unreachable."""

import asyncio
import json
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from redis import Redis

from scripts.redis import redis, start
from tests.live import Proxy, Service, running


@dataclass(frozen=True)
class OwnRedis:
    """Redis server that a test can kill, freeze and fill."""

    url: str
    folder: Path

    def kill(self) -> None:
        """Kill the server without a shutdown."""
        self._signal(signal.SIGKILL)
        (self.folder / "pid").unlink()

    def start(self) -> None:
        """Start the server again, empty."""
        start(self.folder)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Freeze the server: connections stay open, commands get no reply."""
        self._signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(signal.SIGCONT)

    @contextmanager
    def full(self) -> Iterator[None]:
        """Leave the server no memory for writes; the server evicts nothing."""
        with Redis.from_url(self.url) as client:
            client.config_set("maxmemory", 1)
            try:
                yield
            finally:
                client.config_set("maxmemory", 0)

    def hits(self) -> int:
        """Return the number of cache hits."""
        with Redis.from_url(self.url) as client:
            return int(client.info("stats")["keyspace_hits"])

    def _signal(self, number: int) -> None:
        os.kill(int((self.folder / "pid").read_text()), number)


@pytest.fixture(scope="module")
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnRedis]:
    """Start a Redis that only these tests use."""
    folder = tmp_path_factory.mktemp("redis")
    with redis(folder) as url:
        yield OwnRedis(url, folder)


@pytest.fixture(scope="module")
def proxy(own_redis: OwnRedis) -> Proxy:
    """Return a proxy in front of this Redis."""
    return Proxy("127.0.0.1", urlsplit(own_redis.url).port or 6379)


@pytest.fixture(scope="module")
def services(lasting_url: str, own_redis: OwnRedis, proxy: Proxy) -> Iterator[list[Service]]:
    """Start two replicas behind the proxy, with timeouts of one second."""
    url = own_redis.url.replace(f":{urlsplit(own_redis.url).port}", f":{proxy.port}")
    settings = {"REDIS_URL": url, "REDIS_SLOW_SECONDS": "1", "REDIS_TIMEOUT_SECONDS": "1"}
    with (
        running(lasting_url, **settings) as first,
        running(lasting_url, **settings) as second,
    ):
        yield [first, second]


@pytest.fixture
def patient_services(lasting_url: str, own_redis: OwnRedis) -> Iterator[list[Service]]:
    """Start two replicas whose long timeouts never count Redis as unavailable."""
    url = {"REDIS_URL": own_redis.url}
    with running(lasting_url, **url) as first, running(lasting_url, **url) as second:
        yield [first, second]


@dataclass(frozen=True)
class Person:
    """User who signed up, with one client for each replica."""

    path: str
    headers: dict[str, str]
    http: list[httpx2.AsyncClient]

    async def rename(self, name: str, *, at: int = 0) -> None:
        """Change the name at one replica; retry while the response is 503."""
        path, change = "/api/v1/users/me", {"name": name}
        status = 503
        while status == 503:
            changed = await self.http[at].patch(path, json=change, headers=self.headers)
            status = changed.status_code
        assert status == 200, changed.text

    async def name(self, *, at: int = 0) -> str:
        """Return the name that one replica reads."""
        read = await self.http[at].get(self.path, headers=self.headers)
        assert read.status_code == 200, read.text
        return str(read.json()["name"])


@asynccontextmanager
async def people(services: list[Service], number: int) -> AsyncIterator[list[Person]]:
    """Sign up that many users; yield them."""
    limits = httpx2.Limits(max_connections=None)
    async with AsyncExitStack() as stack:
        http = [
            await stack.enter_async_context(
                httpx2.AsyncClient(base_url=service.url, limits=limits, timeout=60)
            )
            for service in services
        ]
        everybody = []
        for _ in range(number):
            headers = services[0].sign_up()
            me = await http[0].get("/api/v1/users/me", headers=headers)
            everybody.append(Person(f"/api/v1/users/{me.json()['id']}", headers, http))
        yield everybody


@asynccontextmanager
async def reading(everybody: list[Person]) -> AsyncIterator[Callable[[int], Awaitable[None]]]:
    """Read from both replicas without errors; yield a function that waits for more responses."""
    answered = asyncio.Condition()
    answers = 0
    done = False

    async def read(person: Person) -> None:
        nonlocal answers
        for at in cycle((0, 1)):
            await person.name(at=at)
            async with answered:
                answers += 1
                answered.notify_all()
            if done:
                return

    async def wait(number: int) -> None:
        goal = answers + number
        async with answered:
            await answered.wait_for(lambda: answers >= goal)

    async with asyncio.TaskGroup() as readers:
        for person in everybody:
            readers.create_task(read(person))
        yield wait
        done = True


def changes_of_state(service: Service) -> Counter[str]:
    """Return how often the service logged each change of the state of Redis."""
    events = (json.loads(line)["event"] for line in service.log.read_text().splitlines())
    return Counter(event for event in events if event.startswith("redis_"))


def wait_until(services: list[Service], state: str) -> None:
    """Wait until both replicas report this state of the cache."""
    deadline = time.monotonic() + 60
    for service in services:
        while service.get("/readyz").json()["resources"]["cache"] != state:
            assert time.monotonic() < deadline, service.log.read_text()[-2_000:]
            time.sleep(0.05)


def test_reads_see_every_acknowledged_write(patient_services: list[Service]) -> None:
    async def main() -> None:
        async with people(patient_services, 25) as everybody:

            async def write_and_read(person: Person, writer: int) -> None:
                for number in range(10):
                    # The second write makes values stale that readers loaded after the first.
                    await person.rename("Ann", at=1 - writer)
                    await person.rename(f"Ann {number}", at=writer)
                    assert await person.name(at=1 - writer) == f"Ann {number}"
                    assert await person.name(at=writer) == f"Ann {number}"

            # These readers load values during the writes, and could store stale ones.
            async with reading(everybody[:8]):
                await asyncio.gather(*map(write_and_read, everybody, cycle((0, 1))))

    asyncio.run(main())


def test_reads_succeed_while_redis_is_down(services: list[Service], own_redis: OwnRedis) -> None:
    async def main() -> None:
        async with people(services, 20) as everybody:
            async with reading(everybody) as answers:
                await answers(100)
                own_redis.kill()
                await answers(100)
                await asyncio.to_thread(wait_until, services, "degraded")
                ready = [service.get("/readyz") for service in services]
                assert [answer.status_code for answer in ready] == [200, 200]
                await answers(100)
                await asyncio.to_thread(own_redis.start)
                await asyncio.to_thread(wait_until, services, "up")
            before = own_redis.hits()
            await everybody[0].name()
            await everybody[0].name()
            assert own_redis.hits() > before

    wait_until(services, "up")
    before = [changes_of_state(service) for service in services]
    asyncio.run(main())
    after = [changes_of_state(service) for service in services]
    for changes in map(Counter.__sub__, after, before):
        # A busy machine may cause a few changes of state, but not one for each read.
        assert changes.keys() == {"redis_unavailable", "redis_available"}
        assert max(changes.values()) < 5


@pytest.mark.parametrize("state", ["frozen", "full"])
def test_reads_succeed_while_redis_is_frozen_or_full(
    services: list[Service], own_redis: OwnRedis, state: str
) -> None:
    async def main() -> None:
        async with people(services, 20) as everybody, reading(everybody) as answers:
            await answers(100)
            # Redis recovers only after these reads, so a read must not wait for the recovery.
            with getattr(own_redis, state)():
                await answers(100)
                await asyncio.to_thread(wait_until, services, "degraded")
                await answers(100)

    asyncio.run(main())
    wait_until(services, "up")


def test_stale_entries_are_not_read_after_an_outage(services: list[Service], proxy: Proxy) -> None:
    async def main() -> None:
        async with people(services, 20) as everybody:
            async with reading(everybody) as answers:
                await answers(100)
            proxy.cut()
            for person in everybody:
                await person.rename("Anna")
            # Redis still holds the old names.
            await asyncio.to_thread(wait_until, services, "degraded")
            proxy.mend()
            # Five seconds are longer than the replicas wait before they read from Redis again.
            ends = time.monotonic() + 5
            while time.monotonic() < ends:
                for person in everybody:
                    assert [await person.name(at=at) for at in (0, 1)] == ["Anna", "Anna"]

    asyncio.run(main())
    wait_until(services, "up")
