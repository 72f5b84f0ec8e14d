"""Development runner: the service (`poe dev`) or a command, with the local servers it needs."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import uvicorn
from dotenv import dotenv_values

from app.core.serving.server import server_config
from app.settings import Settings, SettingsError, load_settings
# {% if database == "postgresql" %}
from scripts.postgres import postgres
# {% endif %}
# {% if redis_cache or cpu_jobs == "celery" %}
from scripts.redis import redis
# {% endif %}
# {% if database == "sqlite" %}
from scripts.sqlite import sqlite
# {% endif %}

LOCAL = Path(__file__).parent.parent / ".local"

# {% if cpu_jobs == "celery" %}

def broker(folder: Path) -> AbstractContextManager[str]:
    """Run a Redis for messages only, since a cache may evict messages."""
    return redis(folder)


# {% endif %}
# Server to start if a setting is not set.
SERVERS: dict[str, Callable[[Path], AbstractContextManager[str]]] = {
    # {% if database == "postgresql" %}
    "DATABASE_URL": postgres,
    # {% else %}
    "DATABASE_URL": sqlite,
    # {% endif %}
    # {% if redis_cache %}
    "REDIS_URL": redis,
    # {% endif %}
    # {% if cpu_jobs == "celery" %}
    "BROKER_URL": broker,
    # {% endif %}
    # Add yours below.
}

# {% if cpu_jobs == "celery" %}
# Processes beside the service; like the service, the worker restarts when the code changes.
WORKER = "celery --app app.worker worker --without-gossip --without-mingle"
BESIDE = (
    ["watchfiles", "--filter", "python", WORKER, "app"],
    ["celery", "--app", "app.worker", "beat"],
)

# {% endif %}

def main(command: list[str]) -> int:
    """Run the command, or else the service, with the servers needed; return the exit code."""
    given = given_settings()
    os.environ["ENVIRONMENT"] = given.get("ENVIRONMENT", "development")
    missing = [setting for setting in SERVERS if setting not in given]
    if os.environ["ENVIRONMENT"] == "production":
        missing = []  # An empty database must not replace a forgotten one.
    with servers(LOCAL, missing) as started:
        os.environ.update(started)
        if command:
            return run(command)
        for setting, url in started.items():
            print(f"{setting}={url}")
        serve(load_settings())
    return 0


def given_settings() -> dict[str, str]:
    """Return the settings of `.env` and of the environment, which takes precedence."""
    sources = (dotenv_values(".env"), os.environ)
    return {name.upper(): value for each in sources for name, value in each.items() if value}


@contextmanager
def servers(folder: Path, settings: Iterable[str]) -> Iterator[dict[str, str]]:
    """Start the servers of these settings, each in its own folder; yields their URLs."""
    urls = {}
    with ExitStack() as stack:
        for setting in settings:
            server = SERVERS[setting]
            try:
                urls[setting] = stack.enter_context(server(folder / server.__name__))
            except (OSError, RuntimeError) as error:
                sys.exit(f"{setting} is not set, and no local server could start: {error}")
        yield urls


def run(command: list[str]) -> int:
    """Run a command; return its exit code as a shell does."""
    if not shutil.which(command[0]):
        sys.exit(f"There is no command {command[0]}: check its name.")
    with subprocess.Popen(command) as process:
        # The terminal sends Ctrl-C to the command too, which handles the signal.
        interrupt = signal.signal(signal.SIGINT, lambda *_: None)
        terminate = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        code = process.wait()
    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, terminate)
    return code if code >= 0 else 128 - code


def serve(settings: Settings) -> None:
    """Migrate, then serve with reload until Ctrl-C."""
    if settings.environment == "production":
        sys.exit("`poe dev` migrates and reloads: in production, use `poe serve`.")
    url = free_address(settings.host, settings.port)
    # This import is slow, and other commands do not need Alembic.
    from alembic.config import main as alembic  # noqa: PLC0415

    alembic(["upgrade", "head"])
    print(f"Serving {url}", flush=True)
    if settings.show_docs:
        print(f"Docs at {url}/docs", flush=True)
# {% if cpu_jobs == "celery" %}
    with ExitStack() as stack:
        for command in BESIDE:
            process = stack.enter_context(subprocess.Popen(command))
            stack.callback(process.terminate)
        serve_and_reload(settings)


def serve_and_reload(settings: Settings) -> None:
    """Serve with reload until Ctrl-C."""
# {% endif %}
    uvicorn.run(
        "app.main:create_app",
        factory=True,
        host=settings.host,
        port=settings.port,
        reload=True,
        reload_dirs=["app"],
        **server_config(settings),
    )


def free_address(host: str, port: int) -> str:
    """Return the URL of the address; exits if another process listens there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        sys.exit(f"Cannot serve on {host}:{port} ({reason}): set PORT to a free port.")
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
    except SettingsError as error:
        sys.exit(str(error))
