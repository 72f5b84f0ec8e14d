"""Jobs in the process pool: results, cancellation, killed processes and shutdown."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest

from app.domains.simulations.compute import simulate
from tests import databases
from tests.live import Service, running
from tests.live.simulator import ENDLESS, LONG, SHORT, Simulator, children, simulator

SETTINGS = {"PROCESS_POOL_SIZE": "1", "JOB_LEASE_SECONDS": "4", "JOB_SWEEP_SECONDS": "0.5"}


@pytest.fixture(scope="module")
def services(server: str) -> Iterator[list[Service]]:
    """Start two replicas of the service, each with one process for jobs."""
    with (
        databases.database(server) as url,
        running(url, **SETTINGS) as first,
        running(url, **SETTINGS) as second,
    ):
        yield [first, second]


@pytest.fixture
def ann(services: list[Service]) -> Iterator[Simulator]:
    """Return a client of a new user at the first replica."""
    with simulator(services[0]) as ann:
        yield ann


@pytest.fixture
def own_url(server: str) -> Iterator[str]:
    """Return the URL of a database whose jobs no other process runs."""
    with databases.database(server) as url:
        yield url


def processes(service: Service) -> list[int]:
    """Return the ids of the processes that run the jobs of a service."""
    started = children(service.process.pid)
    for pid, _ in [*started]:
        started += children(pid)
    return [pid for pid, command in started if "spawn_main" in command]


def events(services: list[Service]) -> list[str]:
    return [line["event"] for service in services for line in service.log_lines()]


def test_job_returns_the_result_of_its_function(ann: Simulator) -> None:
    path = ann.submit(LONG)
    ann.wait_until_under_way(path)
    assert ann.state(path)["status"] == "running"
    state = ann.wait(path)
    assert (state["status"], state["progress"], state["error"]) == ("succeeded", 1.0, None)
    assert state["result"] == simulate(**LONG, report=lambda _: None)


def test_every_job_is_started_once(services: list[Service], ann: Simulator) -> None:
    # The log names a job by the id of the request that submitted the job.
    ids = [uuid4().hex for _ in range(8)]
    paths = [ann.submit(SHORT | {"paths": 5}, **{"X-Request-ID": each}) for each in ids]
    results = [ann.wait(path)["result"] for path in paths]
    assert results == results[:1] * 8
    lines = [line for service in services for line in service.log_lines()]
    begun = [line["request_id"] for line in lines if line["event"] == "job_started"]
    assert [begun.count(each) for each in ids] == [1] * 8


def test_cancelled_jobs_stop(ann: Simulator) -> None:
    under_way = [ann.submit(ENDLESS), ann.submit(ENDLESS)]
    for path in under_way:
        ann.wait_until_under_way(path)
    waiting = ann.submit(ENDLESS)
    for path in [waiting, *under_way]:
        ann.cancel(path)
        assert ann.state(path)["status"] == "cancelled"
    # Cancelled jobs soon free their processes.
    assert ann.wait(ann.submit(SHORT), seconds=20)["status"] == "succeeded"


def test_job_is_retried_when_its_process_is_killed(services: list[Service], ann: Simulator) -> None:
    path = ann.submit(LONG)
    ann.wait_until_under_way(path)
    for service in services:
        for pid in processes(service):
            os.kill(pid, signal.SIGKILL)
    assert ann.wait(path)["status"] == "succeeded"
    assert "job_process_died" in events(services)


def test_job_fails_after_its_last_attempt(own_url: str) -> None:
    with running(own_url, **SETTINGS, JOB_ATTEMPTS="2") as service, simulator(service) as ann:
        path = ann.submit(ENDLESS)
        deadline = time.monotonic() + 60
        while (state := ann.state(path))["status"] in {"queued", "running"}:
            assert time.monotonic() < deadline, state
            if state["progress"]:
                for pid in processes(service):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            time.sleep(0.1)
    assert state["error"] == "The job failed 2 times: submit a new one."
    assert (state["status"], state["result"]) == ("failed", None)


def test_job_fails_at_the_time_limit(own_url: str) -> None:
    limit = {"JOB_TIME_LIMIT_SECONDS": "1"}
    with running(own_url, **SETTINGS, **limit) as service, simulator(service) as ann:
        state = ann.wait(ann.submit(ENDLESS))
        assert (state["status"], state["error"]) == ("failed", "Timed out: use smaller inputs.")


def test_another_replica_takes_over_jobs_of_a_killed_one(own_url: str) -> None:
    with running(own_url, **SETTINGS) as killed, simulator(killed) as ann:
        paths = [ann.submit(LONG), ann.submit(SHORT)]
        ann.wait_until_under_way(paths[0])
        orphans = processes(killed)
        killed.process.kill()
        with running(own_url, **SETTINGS) as other:
            ann.http.base_url = other.url
            assert [ann.wait(path)["status"] for path in paths] == ["succeeded"] * 2
    assert orphans
    assert not [pid for pid in orphans if Path(f"/proc/{pid}").exists()]


def test_shutdown_releases_running_jobs(own_url: str) -> None:
    # The lease outlasts the test, so only a release requeues the job. A release is no attempt.
    patient = SETTINGS | {"JOB_LEASE_SECONDS": "600", "JOB_ATTEMPTS": "1"}
    with running(own_url, PROCESS_POOL_SIZE="0") as reader, simulator(reader) as ann:
        path = ann.submit(LONG)
        with running(own_url, **patient) as service:
            ann.wait_until_under_way(path)
            # Terminals and service managers send SIGTERM to all processes of the group.
            for pid in processes(service):
                os.kill(pid, signal.SIGTERM)
        assert ann.state(path)["status"] == "queued"
        # A job is also released while its process is still starting.
        for _ in range(2):
            with running(own_url, **patient) as service:
                ann.wait_until_running(path)
            assert service.process.returncode == 0
            assert ann.state(path)["status"] == "queued"
        with running(own_url, **patient):
            assert ann.wait(path)["status"] == "succeeded"
