"""Latencies while many requests share ten connections; run in a rendered service."""

import asyncio
import json
import os
import statistics
import time
from contextlib import ExitStack
from importlib import import_module
from threading import Event

import httpx2

REQUESTS = (256, 512)
ROUNDS = 5


async def probe(url: str, headers: dict[str, str]) -> dict[str, float]:
    """Return the latencies of /livez and of a read in milliseconds, idle and under load."""
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(base_url=url, headers=headers, limits=limits, timeout=60) as http:
        await http.get("/api/v1/users/me")
        idle = await asyncio.to_thread(watch, url, Event(), 100)
        figures = {"idle": statistics.median(idle)}
        for requests in REQUESTS:
            loaded: list[float] = []
            reads: list[float] = []
            for _ in range(ROUNDS):
                done = Event()
                watching = asyncio.create_task(asyncio.to_thread(watch, url, done, 10_000))
                reads += await asyncio.gather(*(timed(http) for _ in range(requests)))
                done.set()
                loaded += await watching
            figures |= {
                f"{requests}: loaded": statistics.median(loaded),
                f"{requests}: p99": statistics.quantiles(loaded, n=100)[98],
                f"{requests}: read": statistics.median(reads),
                f"{requests}: slowest read": max(reads),
            }
    return figures


def watch(url: str, done: Event, most: int) -> list[float]:
    """Request /livez until `done` is set; return the latencies in milliseconds."""
    took: list[float] = []
    with httpx2.Client(base_url=url) as http:
        while not done.is_set() and len(took) < most:
            started = time.perf_counter()
            http.get("/livez").raise_for_status()
            took.append((time.perf_counter() - started) * 1_000)
            time.sleep(0.005)
    return took


async def timed(http: httpx2.AsyncClient) -> float:
    """Return the latency of a read in milliseconds."""
    started = time.perf_counter()
    (await http.get("/api/v1/users/me")).raise_for_status()
    return (time.perf_counter() - started) * 1_000


def main() -> None:
    """Start the service with its own servers; probe the service; print the figures."""
    databases, live, servers = (
        import_module(f"tests.{name}") for name in ("databases", "live.service", "servers")
    )
    with ExitStack() as stack:
        stack.enter_context(servers.environment())
        server = os.environ["DATABASE_URL"]
        url = stack.enter_context(databases.database(server))
        service = stack.enter_context(live.running(url))
        print(json.dumps(asyncio.run(probe(service.url, service.sign_up()))))  # noqa: T201


if __name__ == "__main__":
    main()
