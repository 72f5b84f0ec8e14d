"""Service in production mode during failures of its processes, database and clients."""

import asyncio
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from scripts.postgres import ENVIRONMENT, find_tool, postgres
from scripts.processes import answers, run_apart
from tests import databases
from tests.live import ROOT, SERVE, Proxy, Service, production, running

GUNICORN = (ROOT / "gunicorn.conf.py").exists()
ME = "/api/v1/users/me"
REVISION = '''"""Chaos: an index that is built while clients use the table."""

from time import sleep

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        sleep(2)
        op.create_index("ix_chaos", "users", ["name"], postgresql_concurrently=True)


def downgrade() -> None:
    op.drop_index("ix_chaos", "users")
'''


def workers(number: int) -> dict[str, str]:
    """Return the setting for this number of workers; only gunicorn has several."""
    return {"WEB_CONCURRENCY": str(number)} if GUNICORN else {}


def client(service: Service, **options: Any) -> httpx2.AsyncClient:
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    return httpx2.AsyncClient(
        base_url=service.url, limits=limits, timeout=120, verify=False, **options
    )


@contextmanager
def started(url: str, **settings: str) -> Iterator[tuple[Service, float]]:
    """Start the service; also return its start-up seconds, by which tests extend time limits."""
    began = time.monotonic()
    with running(url, **settings) as service:
        yield service, time.monotonic() - began


def pids(service: Service) -> list[int]:
    """Return the process IDs of gunicorn's workers."""
    ps = ["ps", "-o", "pid=", "--ppid", str(service.process.pid)]
    listed = subprocess.run(ps, capture_output=True, text=True, check=True).stdout
    return sorted(map(int, listed.split()))


def events(service: Service) -> Counter[str]:
    return Counter(line["event"] for line in service.log_lines())


class Load:
    """Clients that send requests in a loop, each on its own connection."""

    def __init__(self, service: Service, number: int, path: str = ME) -> None:
        self.outcomes: Counter[str] = Counter()
        self.last_bad = 0.0
        self._service, self._number, self._path = service, number, path
        self._headers = service.sign_up()
        self._stopped = False

    async def __aenter__(self) -> "Load":
        self._tasks = [asyncio.create_task(self._send_requests()) for _ in range(self._number)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopped = True
        await asyncio.gather(*self._tasks)

    async def _send_requests(self) -> None:
        async with client(self._service, headers=self._headers) as http:
            while not self._stopped:
                try:
                    response = await http.get(self._path)
                    outcome = str(response.status_code)
                    if outcome == "503" and "Retry-After" not in response.headers:
                        outcome = "503 without Retry-After"
                except httpx2.TransportError as error:
                    outcome = type(error).__name__
                self.outcomes[outcome] += 1
                if outcome != "200":
                    self.last_bad = time.monotonic()
                    await asyncio.sleep(0.05)


def test_a_stop_under_load_answers_all_accepted_requests(lasting_url: str) -> None:
    number = 200

    limit = 30

    async def main(service: Service) -> tuple[list[int], Counter[str], float]:
        async with client(service) as http:
            async with Load(service, 16) as load:
                path = "/api/v1/chaos/wait?seconds=12"
                requests = [asyncio.create_task(http.get(path)) for _ in range(number)]
                await asyncio.sleep(2)
                service.process.terminate()
                signalled_at = time.monotonic()
                # A proxy stops sending requests after /readyz has failed; so does this load.
                await asyncio.sleep(1)
            statuses = [response.status_code for response in await asyncio.gather(*requests)]
            return statuses, load.outcomes, signalled_at

    settings = {"GRACEFUL_TIMEOUT_SECONDS": str(limit), "SHUTDOWN_DELAY_SECONDS": "8"}
    with running(lasting_url, **workers(2), **settings, THREADPOOL_SIZE="250") as service:
        statuses, others, signalled_at = asyncio.run(main(service))
        assert statuses == [200] * number
        assert others.keys() == {"200"}, others
        assert service.process.wait(60) == 0
        assert time.monotonic() - signalled_at < limit
        assert events(service)["Application shutdown complete."] == (2 if GUNICORN else 1)


def test_readiness_fails_before_the_service_stops(lasting_url: str) -> None:
    # An empty variable counts as not set.
    with running(lasting_url, WEB_CONCURRENCY="", SHUTDOWN_DELAY_SECONDS="6") as service:
        with httpx2.Client(base_url=service.url, timeout=60) as http:
            assert http.get("/livez").headers.get("Connection") != "close"
            service.process.terminate()
            while (ready := service.get("/readyz")).headers.get("Connection") != "close":
                time.sleep(0.05)
            assert ready.status_code == 503
            assert service.get("/livez").status_code == 200
            # Connections from before the signal are closed too.
            assert http.get("/livez").headers["Connection"] == "close"
        assert service.process.wait(25) == 0


def test_a_request_beyond_the_graceful_timeout_gets_503_and_is_logged(lasting_url: str) -> None:
    limit = 6
    settings = workers(1) | {"GRACEFUL_TIMEOUT_SECONDS": str(limit)}
    with started(lasting_url, **settings) as (service, start):

        async def main() -> tuple[httpx2.Response, float]:
            async with client(service) as http:
                request = asyncio.create_task(http.get("/api/v1/chaos/wait?seconds=60"))
                await asyncio.sleep(1)
                service.process.terminate()
                signalled_at = time.monotonic()
                return await request, signalled_at

        response, signalled_at = asyncio.run(main())
        assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
        assert service.process.wait(60) == 0
        assert time.monotonic() - signalled_at < limit + start
        cut = [line for line in service.log_lines() if line["event"] == "request_cut"]
        assert [line["path"] for line in cut] == ["/api/v1/chaos/wait"]
        assert events(service)["Application shutdown complete."] == 1


def test_sigterm_ends_a_start_that_waits_for_the_database(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    nowhere = "postgresql://127.0.0.1:1/nowhere"
    environment = production(nowhere, DATABASE_START_TIMEOUT_SECONDS="60", PORT=port)
    printed = tmp_path / "log"
    with printed.open("wb") as log, subprocess.Popen(SERVE, env=environment, stdout=log) as process:
        deadline = time.monotonic() + 120
        while "retry_scheduled" not in printed.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        process.terminate()
        assert process.wait(30) == 0


def test_a_frozen_database_does_not_delay_the_stop(lasting_url: str) -> None:
    async def main(service: Service) -> None:
        async with client(service, headers=service.sign_up()) as http:
            await asyncio.gather(*(http.get(ME) for _ in range(32)))

    parts = urlsplit(lasting_url)
    proxy = Proxy(parts.hostname or "", parts.port or 0)
    url = parts._replace(netloc=parts.netloc.replace(f":{parts.port}", f":{proxy.port}")).geturl()
    limit = 6
    settings = workers(1) | {"GRACEFUL_TIMEOUT_SECONDS": str(limit)}
    with started(url, **settings) as (service, start):
        asyncio.run(main(service))
        proxy.freeze()
        service.process.terminate()
        signalled_at = time.monotonic()
        service.process.wait(60)
        assert time.monotonic() - signalled_at < limit + start


@pytest.mark.parametrize("number", [1, 4])
def test_a_database_restart_causes_only_503_responses(tmp_path: Path, number: int) -> None:
    async def main(service: Service) -> tuple[Counter[str], float]:
        async with Load(service, 24) as load:
            await asyncio.sleep(1)
            pg_ctl = [*find_tool(tmp_path / "data", "pg_ctl"), "--pgdata=data"]
            restart = [*pg_ctl, "restart", "--mode=immediate", "--log=log"]
            failure = await asyncio.to_thread(run_apart, tmp_path, restart, ENVIRONMENT)
            assert not failure
            restarted_at = time.monotonic()
            await asyncio.sleep(8)
        return load.outcomes, load.last_bad - restarted_at

    with (
        postgres(tmp_path, durable=False) as server,
        databases.database(server) as url,
        running(url, **workers(number)) as service,
    ):
        outcomes, seconds = asyncio.run(main(service))
    assert outcomes.keys() <= {"200", "503"}, outcomes
    assert seconds < 5


def test_a_terminated_connection_fails_one_request_at_most(lasting_url: str) -> None:
    ended = 0

    async def main(service: Service) -> Counter[str]:
        nonlocal ended
        async with Load(service, 16) as load:
            for _ in range(10):
                await asyncio.sleep(0.2)
                ended += await asyncio.to_thread(terminate_connection, lasting_url)
        return load.outcomes

    with running(lasting_url, **workers(2)) as service:
        outcomes = asyncio.run(main(service))
    assert ended == 10
    assert outcomes.keys() <= {"200", "503"}, outcomes
    assert outcomes["503"] <= ended


def test_512_concurrent_requests_succeed_without_delaying_others(lasting_url: str) -> None:
    async def main(service: Service, number: int) -> tuple[list[int], float]:
        async with client(service, headers=service.sign_up()) as http:
            began = time.monotonic()
            responses = await asyncio.gather(*(http.get(ME) for _ in range(number)))
            return [response.status_code for response in responses], time.monotonic() - began

    with running(lasting_url, **workers(2)) as service:
        for number in (256, 512):
            with probing(service) as waits:
                statuses, seconds = asyncio.run(main(service, number))
            assert statuses == [200] * number
            # These limits are wide: in a service that stalls, /livez waits for all requests.
            assert statistics.median(waits) < max(0.5, seconds / 10)
            assert max(waits) < max(3, seconds / 2)


def test_a_service_at_its_connection_limit_never_exceeds_the_budget(lasting_url: str) -> None:
    async def main(service: Service) -> Counter[str]:
        async with Load(service, 512) as load:
            await asyncio.sleep(5)
        return load.outcomes

    with role(lasting_url, limit=12) as url:
        budget = {"DATABASE_CONNECTION_BUDGET": "12"}
        with running(url, **workers(4), **budget, LOG_LEVEL="warning") as service:
            outcomes = asyncio.run(main(service))
            assert outcomes.keys() <= {"200", "503"}, outcomes
            assert outcomes["200"] > 100
            assert "too many" not in service.log.read_text()

        pool = "3" if GUNICORN else "12"
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = str(free.getsockname()[1])
        environment = production(url, **workers(4), DATABASE_POOL_SIZE=pool, PORT=port)
        refused = subprocess.run(
            SERVE, env=environment, capture_output=True, check=False, text=True
        )
        sum_ = "1 replicas x 4 processes x 4" if GUNICORN else "1 replicas x 1 processes x 13"
        assert refused.returncode == 3
        assert f"({sum_} connections for requests), but the limit is 12" in refused.stdout
        assert "Traceback" not in refused.stdout + refused.stderr
        assert '"exception"' not in refused.stdout


def test_concurrent_migrations_with_a_concurrent_index_run_once(server: str) -> None:
    revision = ROOT / "migrations/versions/0002_chaos.py"
    revision.write_text(REVISION)
    try:
        with databases.database(server) as url:
            databases.migrate(url, "base")
            command = [sys.executable, "-m", "alembic", "upgrade", "head"]
            settings = production(url)
            migrating = [
                subprocess.Popen(command, cwd=ROOT, env=settings, stdout=subprocess.PIPE, text=True)
                for _ in range(10)
            ]
            printed = [process.communicate(timeout=300)[0] for process in migrating]
            assert [process.returncode for process in migrating] == [0] * 10, printed
            assert "".join(printed).count("Running upgrade 0001 -> 0002") == 1
    finally:
        revision.unlink()


# Developers of the template need no PgBouncer, so the test is omitted, not skipped. CI has one.
if shutil.which("pgbouncer"):

    def test_requests_succeed_behind_pgbouncer_in_transaction_mode(server: str) -> None:
        async def main(service: Service) -> Counter[str]:
            async with Load(service, 32) as reads, Load(service, 8, "/api/v1/users") as pages:
                for _ in range(20):
                    service.sign_up()
                    await asyncio.sleep(0.1)
            return reads.outcomes + pages.outcomes

        with (
            tempfile.TemporaryDirectory() as folder,
            databases.database(server) as direct,
            pgbouncer(direct, Path(folder)) as url,
        ):
            databases.migrate(direct, "base")
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("DATABASE_PGBOUNCER", "true")
                databases.migrate(url, "head")
            with running(url, **workers(2), DATABASE_PGBOUNCER="true") as service:
                outcomes = asyncio.run(main(service))
                assert outcomes.keys() == {"200"}, service.log.read_text()[-3_000:]
                assert service.get("/readyz").status_code == 200


if GUNICORN:

    @pytest.mark.parametrize("number", [1, 2])
    def test_replacing_workers_after_max_requests_fails_no_request(
        lasting_url: str, number: int
    ) -> None:
        async def main(service: Service) -> Counter[str]:
            async with Load(service, 16) as load:
                deadline = time.monotonic() + 120
                while events(service)["Application shutdown complete."] < 3:
                    assert time.monotonic() < deadline
                    await asyncio.sleep(0.5)
            return load.outcomes

        recycling = {"GUNICORN_MAX_REQUESTS": "400", "GUNICORN_MAX_REQUESTS_JITTER": "100"}
        with running(lasting_url, **workers(number), **recycling) as service:
            outcomes = asyncio.run(main(service))
            assert outcomes.keys() == {"200"}, outcomes

    def test_a_worker_at_max_requests_serves_until_its_last_response(
        lasting_url: str,
    ) -> None:
        recycling = {"GUNICORN_MAX_REQUESTS": "5", "GUNICORN_MAX_REQUESTS_JITTER": "0"}
        with started(lasting_url, **workers(1), **recycling) as (service, start):

            async def main() -> float:
                async with client(service) as http:
                    slow = asyncio.create_task(http.get("/api/v1/chaos/wait?seconds=10"))
                    slowest = 0.0
                    while not slow.done():
                        began = time.monotonic()
                        assert (await http.get("/livez")).status_code == 200
                        slowest = max(slowest, time.monotonic() - began)
                        await asyncio.sleep(0.2)
                    assert (await slow).status_code == 200
                    return slowest

            # The last request may wait for the new worker.
            assert asyncio.run(main()) < 3 + start

    def test_a_killed_worker_is_replaced(lasting_url: str) -> None:
        async def main(service: Service) -> Counter[str]:
            async with Load(service, 16) as load:
                await asyncio.sleep(1)
                before = pids(service)
                os.kill(before[0], signal.SIGKILL)
                await asyncio.sleep(2)
                outcomes_before = load.outcomes.copy()
                deadline = time.monotonic() + 120
                while len(after := pids(service)) < 2 or before[0] in after:
                    assert time.monotonic() < deadline
                    await asyncio.sleep(0.1)
                await asyncio.sleep(2)
            assert (load.outcomes - outcomes_before).keys() == {"200"}
            return load.outcomes

        with running(lasting_url, **workers(2)) as service:
            outcomes = asyncio.run(main(service))
            assert outcomes["200"] > 100

    def test_a_start_that_fails_in_every_worker_exits_without_a_traceback(lasting_url: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = str(free.getsockname()[1])
        end_at = str(time.time() + 5)
        environment = production(lasting_url, **workers(4), CHAOS_END_AT=end_at, PORT=port)
        ended = subprocess.run(SERVE, env=environment, capture_output=True, check=False, text=True)
        assert ended.returncode == 3
        assert "Worker failed to boot" in ended.stdout
        assert "Traceback" not in ended.stdout + ended.stderr

    def test_a_worker_with_a_blocked_event_loop_is_replaced(lasting_url: str) -> None:
        limit = 3
        settings = {"GUNICORN_TIMEOUT_SECONDS": str(limit)}
        with started(lasting_url, **workers(1), **settings) as (service, start):

            async def main() -> float:
                async with client(service) as http:
                    path = "/api/v1/chaos/block?seconds=30"
                    blocked = asyncio.create_task(http.get(path))
                    await asyncio.sleep(0.5)
                    began = time.monotonic()
                    assert (await http.get("/livez")).status_code == 200
                    with pytest.raises(httpx2.TransportError):
                        await blocked
                    return time.monotonic() - began

            # gunicorn checks once a second, then starts a worker: 3 s on an idle machine.
            assert asyncio.run(main()) < limit + 2 + start
            stuck = [e for e in service.log_lines() if e["event"] == "event_loop_blocked"]
            assert "time.sleep(seconds)" in stuck[0]["stack"]
            assert "WORKER TIMEOUT" in service.log.read_text()
else:

    def test_a_blocked_event_loop_is_logged(lasting_url: str) -> None:
        with running(lasting_url) as service:
            service.get("/api/v1/chaos/block?seconds=3")
            stuck = [e for e in service.log_lines() if e["event"] == "event_loop_blocked"]
            assert "time.sleep(seconds)" in stuck[0]["stack"]
            deadline = time.monotonic() + 30
            while not events(service)["event_loop_free"]:
                assert time.monotonic() < deadline
                time.sleep(0.1)


PROBER = """
import http.client, sys, time
connection = http.client.HTTPConnection(sys.argv[1], timeout=60)
while True:
    started = time.perf_counter()
    connection.request("GET", "/livez")
    assert connection.getresponse().read()
    print(time.perf_counter() - started, flush=True)
    time.sleep(0.01)
"""


@contextmanager
def probing(service: Service) -> Iterator[list[float]]:
    """Request /livez in a loop from another process; return the seconds of each at the end."""
    waits: list[float] = []
    command = [sys.executable, "-c", PROBER, urlsplit(service.url).netloc]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as prober:
        assert prober.stdout is not None
        prober.stdout.readline()
        yield waits
        assert prober.poll() is None
        prober.terminate()
        waits += map(float, prober.stdout)


@contextmanager
def pgbouncer(url: str, folder: Path) -> Iterator[str]:
    """Start PgBouncer with a pool of two connections, in transaction mode; return its URL."""
    parts = urlsplit(url)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "pgbouncer.ini").write_text(
        f"""
        [databases]
        * = host={parts.hostname} port={parts.port} user={parts.username} password={parts.password}
        [pgbouncer]
        listen_addr = 127.0.0.1
        listen_port = {port}
        unix_socket_dir =
        auth_type = any
        pool_mode = transaction
        default_pool_size = 2
        max_client_conn = 500
        """.replace("\n        ", "\n")
    )
    folder.chmod(0o755)
    as_user = ["-u", "nobody"] if os.geteuid() == 0 else []
    command = ["pgbouncer", *as_user, str(folder / "pgbouncer.ini")]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            deadline = time.monotonic() + 60
            while not answers(port):
                assert time.monotonic() < deadline, (folder / "log").read_text()
                assert process.poll() is None, (folder / "log").read_text()
                time.sleep(0.1)
            yield parts._replace(netloc=f"{parts.username}@127.0.0.1:{port}").geturl()
        finally:
            process.terminate()


def terminate_connection(url: str) -> int:
    """Terminate one connection of another client; return the number of terminated ones."""
    statement = (
        "SELECT count(pg_terminate_backend(pid)) FROM (SELECT pid FROM pg_stat_activity WHERE "
        "datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client "
        "backend' ORDER BY random() LIMIT 1) AS one"
    )
    return int(execute(url, statement))


@contextmanager
def role(url: str, limit: int) -> Iterator[str]:
    """Create a role with this connection limit; return its URL."""
    execute(url, f"CREATE ROLE few LOGIN PASSWORD 'few' CONNECTION LIMIT {limit}")
    execute(url, "GRANT ALL ON ALL TABLES IN SCHEMA public TO few")
    parts = urlsplit(url)
    yield parts._replace(netloc=f"few:few@{parts.hostname}:{parts.port}").geturl()
    execute(url, "DROP OWNED BY few")
    execute(url, "DROP ROLE few")


def execute(url: str, statement: str) -> Any:
    """Execute a statement, outside of an event loop; return the first value of its result."""
    if find_spec("asyncpg"):
        return asyncio.run(_execute(url, statement))
    import psycopg  # noqa: PLC0415

    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        row = cursor.fetchone() if cursor.description else None
        return row and row[0]


async def _execute(url: str, statement: str) -> Any:
    import asyncpg  # noqa: PLC0415

    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()
