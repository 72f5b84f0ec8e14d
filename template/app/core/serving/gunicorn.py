"""gunicorn worker that runs our uvicorn server."""

import asyncio
import faulthandler
import logging
import os
import signal
from typing import Any

from uvicorn_worker import UvicornWorker

from app.core.serving.server import Server, server_config
from app.settings import load_settings


class Worker(UvicornWorker):
    """uvicorn worker with our graceful shutdown, and a stack trace on SIGABRT."""

    # Read once: a later mistake in `.env` must not end gunicorn's main process.
    CONFIG_KWARGS = server_config(load_settings())

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # UvicornWorker turns propagation off, but our handler is on the root logger.
        logging.getLogger("uvicorn.error").propagate = True

    def init_signals(self) -> None:
        """Install the signal handlers, and the stack trace for SIGABRT."""
        super().init_signals()
        # gunicorn sends SIGABRT to a blocked worker; faulthandler also shows where C code blocks.
        faulthandler.enable()

    async def callback_notify(self) -> None:
        """Send gunicorn a heartbeat, or shut down if gunicorn has died."""
        self.notify()
        if os.getppid() != self.ppid and not self._server.should_exit:
            # No shutdown delay: the gunicorn that is started next needs the port.
            self._server.handle_exit(signal.SIGQUIT, None)

    async def _serve(self) -> None:
        self.config.app = self.wsgi
        self.config.timeout_notify = 1
        self._server = Server(self.config, self.wsgi)
        stop = self._server.handle_exit
        asyncio.get_running_loop().add_signal_handler(signal.SIGQUIT, stop, signal.SIGQUIT, None)
        await self._server.serve(self.sockets)
