"""Gunicorn's worker: a process that serves, watched by the one that started it."""

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
    """Uvicorn's, which stops as our server does, and says where it was when it is killed."""

    # Read once: a mistake that is made in `.env` later must not end the process that starts others.
    CONFIG_KWARGS = server_config(load_settings())

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # It has given them to gunicorn's handlers.
        logging.getLogger("uvicorn.error").propagate = True

    def init_signals(self) -> None:
        """Prepare for the signals of the process that started this one."""
        super().init_signals()
        # It sends SIGABRT to a worker whose event loop is blocked: even C code cannot hide then.
        faulthandler.enable()

    async def callback_notify(self) -> None:
        """Tell that the event loop turns, and stop when nobody is left to be told."""
        self.notify()
        if os.getppid() != self.ppid and not self._server.should_exit:
            # At once: whoever is started in its place needs the port.
            self._server.handle_exit(signal.SIGQUIT, None)

    async def _serve(self) -> None:
        self.config.app = self.wsgi
        self.config.timeout_notify = 1
        self._server = Server(self.config, self.wsgi)
        stop = self._server.handle_exit
        asyncio.get_running_loop().add_signal_handler(signal.SIGQUIT, stop, signal.SIGQUIT, None)
        await self._server.serve(self.sockets)
