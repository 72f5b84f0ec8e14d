"""TCP proxy between the service and a server, for tests of outages."""

import asyncio
from contextlib import suppress
from threading import Thread


class Proxy:
    """TCP proxy that counts the client's messages, and can be cut or frozen."""

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
        """Accept connections again."""
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result()

    def freeze(self) -> None:
        """Keep connections, but forward nothing."""
        self._loop.call_soon_threadsafe(self._flows.clear)

    def thaw(self) -> None:
        """Forward again, beginning with the data held back."""
        self._loop.call_soon_threadsafe(self._flows.set)

    def cut(self) -> None:
        """Close every connection, and refuse new ones."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()

    def drop(self) -> None:
        """Close every connection, but accept new ones."""
        asyncio.run_coroutine_threadsafe(self._drop(), self._loop).result()

    async def _open(self) -> None:
        self._flows.set()
        self._server = await asyncio.start_server(self._forward, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        assert self._server is not None
        for listener in self._server.sockets:
            self._loop.remove_reader(listener)
        # asyncio would never close a connection that is accepted while the server closes.
        await asyncio.sleep(0)
        self._server.close()
        await self._drop()

    async def _drop(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._server or not self._server.is_serving():
            writer.transport.abort()
            return
        self._writers.add(writer)
        try:
            upstream_reader, upstream = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers.add(upstream)
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
