"""Gunicorn: every number is a setting, and this says what it is for."""

import math
import sys
from pathlib import Path
from typing import Any

from app.core.logging import logging_config
from app.core.serving.processes import web_processes
from app.settings import SettingsError, load_settings

try:
    settings = load_settings()
except SettingsError as error:
    sys.exit(str(error))

wsgi_app = "app.main:create_app()"
worker_class = "app.core.serving.gunicorn.Worker"
# No more than there are CPUs: an event loop never waits, so a second one has nothing to do.
workers = web_processes(settings)
host = f"[{settings.host}]" if ":" in settings.host else settings.host
bind = f"{host}:{settings.port}"

# A worker tells every second that its event loop turns; one that does not for so long is killed. It
# is no limit for requests.
timeout = settings.gunicorn_timeout_seconds
# A worker has ended by itself before: this is for one that cannot.
graceful_timeout = math.ceil(settings.graceful_timeout_seconds)
# A proxy that keeps connections for longer would send requests into ones that are closed.
keepalive = settings.keep_alive_seconds
# What a library leaks ends with its process; not all of them at the same moment.
max_requests = settings.gunicorn_max_requests
max_requests_jitter = settings.gunicorn_max_requests_jitter

# Where workers tell it: on a disk, a slow write would look like a blocked event loop.
memory = Path("/dev/shm")  # noqa: S108
worker_tmp_dir = str(memory) if memory.is_dir() else None
# It needs a folder that can be written, and nobody here asks it anything.
control_socket_disable = True
# All logs go one way, gunicorn's own too.
loglevel = settings.log_level
logconfig_dict = logging_config(settings) | {
    "loggers": {"gunicorn.error": {"handlers": [], "propagate": True}}
}


def on_starting(arbiter: Any) -> None:
    """Let it stop in order when several workers fail to start: each would interrupt the stop."""
    stop = arbiter.stop

    def go_on_stopping(*options: bool) -> None:
        # No code that a worker ends with: the first one that failed has said why.
        arbiter.WORKER_BOOT_ERROR = arbiter.APP_LOAD_ERROR = -1
        stop(*options)

    arbiter.stop = go_on_stopping
