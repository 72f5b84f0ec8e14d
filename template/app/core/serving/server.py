"""One process that serves, and how it stops without dropping a request."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from ipaddress import IPv4Network, ip_network
from socket import socket
from time import monotonic
from types import FrameType
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI

from app.settings import Settings

log = structlog.get_logger()

# For what a stop does after the requests: the resources close.
CLOSE_SECONDS = 3
# Connections that were idle for so long are closed; others after the next response.
_LINGER_SECONDS = 1.0
_TICK_SECONDS = 0.05


def server_config(settings: Settings) -> dict[str, Any]:
    """How uvicorn serves, whoever manages its processes."""
    return {
        "lifespan": "on",
        # How many there are is decided elsewhere.
        "workers": 1,
        # The service writes its own line for each request, and configures logging itself.
        "access_log": False,
        "log_config": None,
        "server_header": False,
        "proxy_headers": bool(settings.forwarded_allow_ips),
        "forwarded_allow_ips": _networks(settings.forwarded_allow_ips),
        "timeout_keep_alive": settings.keep_alive_seconds,
        # For what was cut already, in a better way.
        "timeout_graceful_shutdown": 1,
    }


def _networks(proxies: tuple[str, ...]) -> list[str]:
    """As the kernel tells of them, which writes IPv4 as IPv6 where a server listens to both."""
    networks = [ip_network(proxy) for proxy in proxies]
    mapped = [
        f"::ffff:{network.network_address}/{96 + network.prefixlen}"
        for network in networks
        if isinstance(network, IPv4Network)
    ]
    return [*proxies, *mapped]


class Server(uvicorn.Server):
    """Uvicorn's, which stops in steps: unready, then closed to new requests, then without any."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app
        self._settings: Settings = app.state.settings
        self._delay_seconds = 0.0
        self._interrupted = False
        self._told = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; a second Ctrl-C waits for nothing."""
        self._told = True
        if sig == signal.SIGTERM and self.started:
            self._app.state.ready = False
            self._delay_seconds = self._settings.shutdown_delay_seconds
        elif sig == signal.SIGINT:
            self.force_exit = self._interrupted
            self._interrupted = True
        self.should_exit = True

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Begin to serve, unless it is told to stop before."""
        starting = asyncio.create_task(super().startup(sockets))
        # If it ends the process, nobody is left to ask the task why, and that is no news.
        starting.add_done_callback(lambda task: task.cancelled() or task.exception())
        while not starting.done():
            if self.should_exit:
                # A thread may be waiting for a server that is away, and nothing ends a thread.
                _end(0)
            await asyncio.wait([starting], timeout=_TICK_SECONDS)
        await starting

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Answer what was accepted, cut what takes too long, close the resources."""
        self.should_exit = True
        deadline = monotonic() + self._settings.graceful_timeout_seconds - CLOSE_SECONDS
        ticking = asyncio.create_task(self._tick_until(deadline + CLOSE_SECONDS))
        # From now on each response is the last one on its connection.
        self._app.state.draining = True
        # Proxies need a moment to learn that it is unready.
        await self._wait(lambda: False, monotonic() + self._delay_seconds)
        if not self._told:
            # It has served enough; nobody takes its place before it is gone, so it serves on.
            begun = set(self.server_state.tasks)
            await self._wait(lambda: begun.isdisjoint(self.server_state.tasks), deadline)
        for server in self.servers:
            server.close()
        # Or the kernel would go on to take connections that nobody answers.
        for each in sockets or []:
            each.close()
        await self._wait(self._has_no_connections, monotonic() + _LINGER_SECONDS)
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await self._wait(self._is_idle, deadline)
        cut = list(self.server_state.tasks)
        for task in cut:
            task.cancel()
        await self._wait(self._is_idle, monotonic() + 0.5)
        try:
            async with asyncio.timeout(CLOSE_SECONDS - 1):
                await super().shutdown(sockets)
        except TimeoutError:
            log.error("resources_not_closed", seconds=CLOSE_SECONDS - 1)
            _end(1)
        ticking.cancel()
        if cut:
            # Threads of theirs may still run, and nothing ends a thread.
            _end(0)

    async def _tick_until(self, deadline: float) -> None:
        """Tell whoever watches this process that it lives."""
        while monotonic() < deadline:
            await self.on_tick(0)
            await asyncio.sleep(1)

    async def _wait(self, reached: Callable[[], bool], deadline: float) -> None:
        # Uvicorn tells nobody when a connection closes or a request ends.
        while not (reached() or self.force_exit or monotonic() > deadline):  # noqa: ASYNC110
            await asyncio.sleep(_TICK_SECONDS)

    def _has_no_connections(self) -> bool:
        return not self.server_state.connections

    def _is_idle(self) -> bool:
        return not self.server_state.connections and not self.server_state.tasks


def _end(code: int) -> None:
    sys.stdout.flush()
    os._exit(code)
