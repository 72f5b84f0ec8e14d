"""Latencies while heavy work runs in one way; run in a rendered service with jobs."""

import asyncio
import json
import os
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from importlib import import_module
from multiprocessing import get_context
from typing import Any

import httpx2

JOB_SECONDS = 0.3
JOBS_PER_SECOND = 5
STEPS = 1_000

READ = "/api/v1/users/me"
PAUSE_SECONDS = 0.005
WARM_SECONDS = 0.3
IDLE_SECONDS = 1.5
# Jobs are sent this long before the measurement begins.
LEAD_SECONDS = 0.5
LOADED_SECONDS = 4
STRAGGLER_SECONDS = 1
TIMEOUT_SECONDS = 30

# One process runs the jobs, and the queue is long enough that the service refuses none.
SETTINGS = {
    "JOBS_WAITING": "10000",
    "JOBS_WAITING_PER_CALLER": "10000",
    "PROCESS_POOL_SIZE": "1",
    "WORKER_CONCURRENCY": "1",
}


def paths_of_a_job() -> int:
    """Return how many paths one core of this machine simulates in JOB_SECONDS."""
    compute = import_module("app.domains.simulations.compute")
    paths = 50
    took = []
    for seed in range(9):
        started = time.process_time()
        compute.simulate(paths=paths, steps=STEPS, seed=seed, report=lambda _: None)
        took.append(time.process_time() - started)
    return round(paths * JOB_SECONDS / statistics.median(took))


def measure(way: str, form: dict[str, int]) -> dict[str, float]:
    """Start the service with its own servers; return its latencies, idle and with jobs."""
    databases, live, servers = (
        import_module(f"tests.{name}") for name in ("databases", "live.service", "servers")
    )
    with ExitStack() as stack:
        # Separate processes watch and send, so that neither waits for the other or for this one.
        clients = stack.enter_context(ProcessPoolExecutor(2, mp_context=get_context("spawn")))
        for _ in range(2):
            # These calls start the two processes while the servers start.
            clients.submit(time.sleep, 0)
        stack.enter_context(servers.environment())
        server = os.environ["DATABASE_URL"]
        database_url = stack.enter_context(databases.database(server))
        runner = service = stack.enter_context(live.running(database_url, **SETTINGS))
        if way == "celery":
            workers = import_module("tests.live.workers")
            runner = stack.enter_context(workers.working(database_url, **SETTINGS))
        path = "/api/v1/simulations" if way in {"process_pool", "celery"} else f"/wrong/{way}"
        watching = (service.url, service.sign_up())
        sending = (service.url, service.sign_up(), path, form)

        first = clients.submit(send, *sending, 1)
        clients.submit(watch, *watching, WARM_SECONDS).result()
        assert first.result() == {"failed": 0, "unanswered": 0}
        while not jobs_done(runner.log_lines()):
            time.sleep(0.1)
        idle = clients.submit(watch, *watching, IDLE_SECONDS).result()

        seconds = LEAD_SECONDS + LOADED_SECONDS
        sent = clients.submit(send, *sending, round(seconds * JOBS_PER_SECOND))
        time.sleep(LEAD_SECONDS)
        before, began = jobs_done(runner.log_lines()), time.monotonic()
        loaded = clients.submit(watch, *watching, LOADED_SECONDS).result()
        rate = (jobs_done(runner.log_lines()) - before) / (time.monotonic() - began)
        outcome = sent.result()
        # Jobs that are still queued are not measured, so the service need not finish them.
        service.process.kill()
    # Each request waits for the previous response, so slow responses mean few samples.
    samples = len(loaded[READ])
    latencies = ranks("idle", idle) | ranks("loaded", loaded)
    return {**latencies, "samples": samples, "jobs/s": rate, **outcome}


def watch(url: str, headers: dict[str, str], seconds: float) -> dict[str, list[float]]:
    """Request /livez and a read in turn; return their latencies in milliseconds."""
    took: dict[str, list[float]] = {"/livez": [], READ: []}
    ends = time.monotonic() + seconds
    with httpx2.Client(base_url=url, headers=headers, timeout=TIMEOUT_SECONDS) as http:
        while time.monotonic() < ends:
            for path, times in took.items():
                started = time.perf_counter()
                http.get(path).raise_for_status()
                times.append((time.perf_counter() - started) * 1_000)
                time.sleep(PAUSE_SECONDS)
    return took


def ranks(phase: str, took: dict[str, list[float]]) -> dict[str, float]:
    """Return the median and the 99th percentile of the latencies of a phase."""
    figures = {}
    for name, times in zip(("/livez", "read"), took.values(), strict=True):
        figures[f"{phase} {name} p50"] = statistics.median(times)
        figures[f"{phase} {name} p99"] = sorted(times)[len(times) * 99 // 100]
    return figures


def jobs_done(lines: list[dict[str, Any]]) -> int:
    """Return how many jobs have ended, from the log of the process that runs them."""
    return sum(line["event"] == "job_ended" for line in lines)


def send(
    url: str, headers: dict[str, str], path: str, form: dict[str, int], jobs: int
) -> dict[str, int]:
    """Send that many jobs at JOBS_PER_SECOND; return how many failed or got no response."""
    return asyncio.run(_send(url, headers, path, form, jobs))


async def _send(
    url: str, headers: dict[str, str], path: str, form: dict[str, int], jobs: int
) -> dict[str, int]:
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(
        base_url=url, headers=headers, limits=limits, timeout=TIMEOUT_SECONDS
    ) as http:
        started = time.monotonic()
        sent: list[asyncio.Task[Any]] = []
        for number in range(jobs):
            # No request waits for the response to another.
            await asyncio.sleep(started + number / JOBS_PER_SECOND - time.monotonic())
            sent.append(asyncio.create_task(http.post(path, json=form)))
        answered, unanswered = await asyncio.wait(sent, timeout=STRAGGLER_SECONDS)
        for each in unanswered:
            each.cancel()
        await asyncio.wait(sent)
    failed = sum(bool(each.exception()) or not each.result().is_success for each in answered)
    return {"failed": failed, "unanswered": len(unanswered)}


def main() -> None:
    """Print the number of paths of a job or, given a way and this number, its figures."""
    if len(sys.argv) == 1:
        print(paths_of_a_job())  # noqa: T201
    else:
        way, paths = sys.argv[1:]
        print(json.dumps(measure(way, {"paths": int(paths), "steps": STEPS, "seed": 7})))  # noqa: T201


if __name__ == "__main__":
    main()
