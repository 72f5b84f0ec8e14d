"""Jobs in Celery workers: results, cancellation, killed workers and broker outages."""

import os
import time
from collections.abc import Iterator
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from app.core.jobs.celery import RUN, build_celery
from app.domains.simulations.compute import simulate
from tests import databases
from tests.live import Proxy, Service, running
from tests.live.simulator import ENDLESS, LONG, SHORT, TINY, Simulator, simulator
from tests.live.workers import STUBBORN_SEED, SUICIDAL_SEED, Worker, working
from tests.settings import make_settings


@pytest.fixture(scope="module")
def jobs_url(server: str) -> Iterator[str]:
    """Return the URL of a database that only these tests use."""
    with databases.database(server) as url:
        yield url


@pytest.fixture(scope="module")
def proxy() -> Proxy:
    """Return a proxy in front of the broker."""
    url = urlsplit(os.environ["BROKER_URL"])
    return Proxy(url.hostname or "", url.port or 0)


@pytest.fixture(scope="module")
def settings(proxy: Proxy) -> dict[str, str]:
    """Return settings with a private broker prefix and short intervals."""
    url = os.environ["BROKER_URL"]
    return {
        "BROKER_PREFIX": f"test-{uuid4().hex}",
        "BROKER_URL": url.replace(f":{urlsplit(url).port}", f":{proxy.port}"),
        "JOB_LEASE_SECONDS": "4",
        "JOB_SWEEP_SECONDS": "0.5",
        "WORKER_CONCURRENCY": "1",
    }


@pytest.fixture(scope="module")
def service(jobs_url: str, settings: dict[str, str]) -> Iterator[Service]:
    """Start the service that accepts the jobs."""
    with running(jobs_url, **settings) as service:
        yield service


@pytest.fixture
def ann(service: Service) -> Iterator[Simulator]:
    """Return a client of a new user."""
    with simulator(service) as ann:
        yield ann


@pytest.fixture(scope="module")
def shared_worker(jobs_url: str, settings: dict[str, str]) -> Iterator[Worker]:
    """Start a worker that several tests use."""
    with working(jobs_url, **settings) as worker:
        yield worker


def test_job_returns_the_result_of_its_function(ann: Simulator, shared_worker: Worker) -> None:
    request_id = uuid4().hex
    path = ann.submit(LONG, **{"X-Request-ID": request_id})
    ann.wait_until_under_way(path)
    assert ann.state(path)["status"] == "running"
    state = ann.wait(path)
    assert (state["status"], state["progress"], state["error"]) == ("succeeded", 1.0, None)
    assert state["result"] == simulate(**LONG, report=lambda _: None)
    assert shared_worker.begun()[-1] == request_id


def test_cancelled_jobs_stop(ann: Simulator, shared_worker: Worker) -> None:
    under_way = ann.submit(ENDLESS)
    ann.wait_until_under_way(under_way)
    waiting = ann.submit(ENDLESS)
    for path in [waiting, under_way]:
        ann.cancel(path)
        assert ann.state(path)["status"] == "cancelled"
    # A cancelled job soon frees its process.
    assert ann.wait(ann.submit(SHORT), seconds=20)["status"] == "succeeded"


def test_duplicate_messages_start_a_job_once(
    ann: Simulator, shared_worker: Worker, jobs_url: str, settings: dict[str, str]
) -> None:
    names = ("broker_url", "broker_prefix")
    same = {name: settings[name.upper()] for name in names}
    celery = build_celery(make_settings(jobs_url, **same))
    request_id = uuid4().hex
    path = ann.submit(SHORT, **{"X-Request-ID": request_id})
    for _ in range(5):
        celery.send_task(RUN)
    celery.close()
    assert ann.wait(path)["status"] == "succeeded"
    ann.wait(ann.submit(SHORT))
    assert shared_worker.begun().count(request_id) == 1


def test_job_is_retried_when_its_process_is_killed(ann: Simulator, shared_worker: Worker) -> None:
    path = ann.submit(LONG)
    ann.wait_until_under_way(path)
    shared_worker.kill_busiest()
    assert ann.wait(path)["status"] == "succeeded"


@pytest.mark.parametrize("how", ["cut", "freeze"])
def test_broker_outage_loses_no_jobs(
    ann: Simulator, shared_worker: Worker, proxy: Proxy, how: str
) -> None:
    getattr(proxy, how)()
    try:
        paths, seconds = [], []
        for _ in range(3):
            started = time.monotonic()
            paths.append(ann.submit(SHORT))
            seconds.append(time.monotonic() - started)
        # Requests do not wait for the broker; one may be slow on a busy machine.
        assert sorted(seconds)[1] < 2
        ready = ann.http.get("/readyz")
        assert ready.status_code == 200
    finally:
        proxy.thaw() if how == "freeze" else proxy.mend()
    assert [ann.wait(path)["status"] for path in paths] == ["succeeded"] * 3


def test_worker_finishes_or_releases_jobs_when_it_stops(
    ann: Simulator, jobs_url: str, settings: dict[str, str], shared_worker: Worker
) -> None:
    path = ann.submit(SHORT)
    ann.wait_until_under_way(path)
    assert shared_worker.stop() == 0
    assert ann.state(path)["status"] == "succeeded"

    # The lease outlasts the test, so only a release requeues the job. A release is no attempt.
    path = ann.submit(ENDLESS)
    patient = settings | {"JOB_LEASE_SECONDS": "600", "JOB_ATTEMPTS": "1"}
    with working(jobs_url, **patient, WORKER_STOP_SECONDS="1") as worker:
        ann.wait_until_under_way(path)
        started = time.monotonic()
        assert worker.stop() == 0
        assert time.monotonic() - started < 15
        assert ann.state(path)["status"] == "queued"
    ann.cancel(path)


def test_another_worker_takes_over_jobs_of_a_killed_one(
    ann: Simulator, jobs_url: str, settings: dict[str, str]
) -> None:
    with working(jobs_url, **settings) as killed:
        path = ann.submit(LONG)
        ann.wait_until_under_way(path)
        killed.kill()
    with working(jobs_url, **settings):
        assert ann.wait(path)["status"] == "succeeded"


def test_jobs_that_exceed_limits_or_kill_their_process_fail(
    ann: Simulator, jobs_url: str, settings: dict[str, str]
) -> None:
    limits = {"JOB_TIME_LIMIT_SECONDS": "4", "JOB_KILL_SECONDS": "5"}
    with working(jobs_url, "tests.live.uncancellable_job", **settings, **limits) as worker:
        interruptible, stubborn = ann.submit(ENDLESS), ann.submit(TINY | {"seed": STUBBORN_SEED})
        for path in (interruptible, stubborn):
            state = ann.wait(path)
            assert (state["status"], state["error"]) == ("failed", "Timed out: use smaller inputs.")
        # A job that kills its process must not block the jobs after it.
        paths = [ann.submit(TINY | {"seed": SUICIDAL_SEED}), ann.submit(TINY)]
        ended = [ann.wait(path) for path in paths]
        assert [state["status"] for state in ended] == ["failed", "succeeded"]
        assert ended[0]["error"] == "The job failed 3 times: submit a new one."
        assert worker.log.read_text().count("Hard time limit (9.0s) exceeded") == 1
