"""The service as a process of its own, and the way to its database, which can be cut."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from uuid import uuid4

import httpx2

ROOT = Path(__file__).parent.parent


PASSWORD = "correct horse battery staple"


@dataclass(frozen=True)
class Service:
    """Where it listens, and where its log is."""

    url: str
    log: Path

    def sign_up(self) -> dict[str, str]:
        """Sign up and in; gives the headers that say so."""
        form = {"email": f"{uuid4().hex}@example.com", "name": "Ann", "password": PASSWORD}
        credentials = {"username": form["email"], "password": PASSWORD}
        with httpx2.Client(base_url=self.url) as http:
            http.post("/api/v1/users", json=form).raise_for_status()
            token = http.post("/api/v1/auth/token", data=credentials).raise_for_status().json()
        return {"Authorization": f"Bearer {token['access_token']}"}


@contextmanager
def running(database_url: str, **settings: str) -> Iterator[Service]:
    """The service, started by its own command and stopped by SIGTERM."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "DATABASE_URL": database_url,
        "ENVIRONMENT": "production",
        "PASSWORD_HASH_MEMORY_KIB": "32",
        "PORT": str(port),
        "PYTHONPATH": str(ROOT),
        "SECRET_KEY": "a secret of production " * 2,
        "SIGN_IN_ATTEMPTS_PER_ADDRESS": "100000",
        "SIGN_IN_ATTEMPTS_PER_CLIENT": "100000",
        **settings,
    }
    # Not from our folder: a `.env` in it is the developer's.
    with TemporaryDirectory() as folder, (Path(folder) / "log").open("wb") as log:
        command = [sys.executable, "-m", "app"]
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        service = Service(f"http://127.0.0.1:{port}", Path(log.name))
        try:
            _wait(service, process)
            yield service
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


def _wait(service: Service, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(httpx2.TransportError):
            httpx2.get(f"{service.url}/livez")
            return
        time.sleep(0.05)
    raise RuntimeError(service.log.read_text())


class Proxy:
    """Forwards to a server, counts what the client sends; can be cut or frozen."""

    def __init__(self, host: str, port: int) -> None:
        self.port = 0
        self.messages = 0
        self._target = (host, port)
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._flows = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        Thread(target=self._loop.run_forever, daemon=True).start()
        self.mend()

    def mend(self) -> None:
        """Let connections through again."""
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result()

    def freeze(self) -> None:
        """Keep connections, but let nothing through."""
        self._loop.call_soon_threadsafe(self._flows.clear)

    def thaw(self) -> None:
        """Let everything through that waits."""
        self._loop.call_soon_threadsafe(self._flows.set)

    def cut(self) -> None:
        """Drop every connection, and refuse new ones."""
        asyncio.run_coroutine_threadsafe(self._drop(), self._loop).result()
        assert self._server is not None
        self._loop.call_soon_threadsafe(self._server.close)

    def drop(self) -> None:
        """Drop every connection, but take new ones."""
        asyncio.run_coroutine_threadsafe(self._drop(), self._loop).result()

    async def _open(self) -> None:
        self._flows.set()
        self._server = await asyncio.start_server(self._forward, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _drop(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream = await asyncio.open_connection(*self._target)
        self._writers |= {writer, upstream}
        with suppress(OSError):
            await asyncio.gather(
                self._copy(reader, upstream, 1),
                self._copy(upstream_reader, writer, 0),
            )

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int
    ) -> None:
        while chunk := await reader.read(65_536):
            await self._flows.wait()
            self.messages += count
            writer.write(chunk)
        writer.close()
