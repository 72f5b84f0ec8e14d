"""uvicorn server with a graceful shutdown."""

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

# Seconds at the end of the grace period, reserved for closing the resources.
CLOSE_SECONDS = 3
# During shutdown, connections idle for so long are closed; others after their next response.
_LINGER_SECONDS = 1.0
_TICK_SECONDS = 0.05


def server_config(settings: Settings) -> dict[str, Any]:
    """Return uvicorn's options, the same under every process manager."""
    return {
        "lifespan": "on",
        # uvicorn would otherwise read the number from a variable of the environment.
        "workers": 1,
        # RequestMiddleware logs requests, and core/logging.py configures all loggers.
        "access_log": False,
        "log_config": None,
        "server_header": False,
        "proxy_headers": bool(settings.forwarded_allow_ips),
        "forwarded_allow_ips": _networks(settings.forwarded_allow_ips),
        "timeout_keep_alive": settings.keep_alive_seconds,
        # Server.shutdown has cancelled late requests by then.
        "timeout_graceful_shutdown": 1,
    }


def _networks(proxies: tuple[str, ...]) -> list[str]:
    """Add the IPv4-mapped IPv6 networks, as the kernel reports IPv4 on a dual-stack socket."""
    networks = [ip_network(proxy) for proxy in proxies]
    mapped = [
        f"::ffff:{network.network_address}/{96 + network.prefixlen}"
        for network in networks
        if isinstance(network, IPv4Network)
    ]
    return [*proxies, *mapped]


class Server(uvicorn.Server):
    """uvicorn server that stops in steps: not ready, closed to new requests, drained."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app
        self._settings: Settings = app.state.settings
        self._delay_seconds = 0.0
        self._interrupted = False
        self._signalled = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin the shutdown; on a second Ctrl-C, stop without waiting."""
        self._signalled = True
        if sig == signal.SIGTERM and self.started:
            self._app.state.ready = False
            self._delay_seconds = self._settings.shutdown_delay_seconds
        elif sig == signal.SIGINT:
            self.force_exit = self._interrupted
            self._interrupted = True
        self.should_exit = True

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Start serving; a signal during start-up ends the process."""
        starting = asyncio.create_task(super().startup(sockets))
        # Reading the exception prevents asyncio's warning about one that was never retrieved.
        starting.add_done_callback(lambda task: task.cancelled() or task.exception())
        while not starting.done():
            if self.should_exit:
                # A thread may be waiting for an unavailable server, and Python cannot stop threads.
                _end(0)
            await asyncio.wait([starting], timeout=_TICK_SECONDS)
        await starting

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Answer accepted requests, cancel those that take too long, close the resources."""
        self.should_exit = True
        deadline = monotonic() + self._settings.graceful_timeout_seconds - CLOSE_SECONDS
        ticking = asyncio.create_task(self._tick_until(deadline + CLOSE_SECONDS))
        # RequestMiddleware sends `Connection: close` from now on.
        self._app.state.draining = True
        # Proxies need time to notice the failing readiness check.
        await self._wait(lambda: False, monotonic() + self._delay_seconds)
        if not self._signalled:
            # Without a signal, a recycled worker serves on: the replacement starts after its exit.
            begun = set(self.server_state.tasks)
            await self._wait(lambda: begun.isdisjoint(self.server_state.tasks), deadline)
        for server in self.servers:
            server.close()
        # Otherwise the kernel would accept connections that no process answers.
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
            # Threads of cancelled requests may still run, and Python cannot stop threads.
            _end(0)

    async def _tick_until(self, deadline: float) -> None:
        """Send heartbeats to the process manager during the shutdown."""
        while monotonic() < deadline:
            await self.on_tick(0)
            await asyncio.sleep(1)

    async def _wait(self, reached: Callable[[], bool], deadline: float) -> None:
        # uvicorn has no event for a closed connection or a finished request.
        while not (reached() or self.force_exit or monotonic() > deadline):  # noqa: ASYNC110
            await asyncio.sleep(_TICK_SECONDS)

    def _has_no_connections(self) -> bool:
        return not self.server_state.connections

    def _is_idle(self) -> bool:
        return not self.server_state.connections and not self.server_state.tasks


def _end(code: int) -> None:
    sys.stdout.flush()
    os._exit(code)
