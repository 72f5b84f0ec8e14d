"""gunicorn configuration, with the reason for each setting."""

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
# At most one worker per CPU: an event loop never waits, so more workers gain nothing.
workers = web_processes(settings)
host = f"[{settings.host}]" if ":" in settings.host else settings.host
bind = f"{host}:{settings.port}"

# gunicorn kills a worker whose event loop sends no heartbeat for this long. Each loop sends one a
# second, so this is no limit on requests.
timeout = settings.gunicorn_timeout_seconds
# A worker exits in time without gunicorn; this limit is for one that hangs.
graceful_timeout = math.ceil(settings.graceful_timeout_seconds)
# A proxy that keeps idle connections for longer would send requests into closed ones.
keepalive = settings.keep_alive_seconds
# Replacing a worker frees leaked memory; the jitter spreads the replacements over time.
max_requests = settings.gunicorn_max_requests
max_requests_jitter = settings.gunicorn_max_requests_jitter

# Heartbeats go through files: on a disk, a slow write would look like a blocked event loop.
memory = Path("/dev/shm")  # noqa: S108
worker_tmp_dir = str(memory) if memory.is_dir() else None
# The control socket needs a writable folder, and this service does not use the socket.
control_socket_disable = True
# The root logger writes gunicorn's logs in the format of the service.
loglevel = settings.log_level
logconfig_dict = logging_config(settings) | {
    "loggers": {"gunicorn.error": {"handlers": [], "propagate": True}}
}


def on_starting(arbiter: Any) -> None:
    """Keep further workers that fail to start from interrupting the stop of gunicorn."""
    stop = arbiter.stop

    def go_on_stopping(*options: bool) -> None:
        # No worker exits with -1, so gunicorn ignores the others; the first has logged the reason.
        arbiter.WORKER_BOOT_ERROR = arbiter.APP_LOAD_ERROR = -1
        stop(*options)

    arbiter.stop = go_on_stopping
