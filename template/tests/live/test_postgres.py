"""Start, sharing and stop of the PostgreSQL that `scripts/postgres.py` runs."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from scripts.postgres import postgres
from scripts.processes import answers


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return one folder for all tests, because creating a database is slow."""
    return tmp_path_factory.mktemp("postgres")


def up(url: str) -> bool:
    return answers(urlsplit(url).port or 0)


def wait_until_down(url: str) -> None:
    deadline = time.monotonic() + 60
    while up(url):
        assert time.monotonic() < deadline, "the server still accepts connections"
        time.sleep(0.05)


def test_server_stops_at_the_end_of_the_block(folder: Path) -> None:
    with postgres(folder, durable=False) as url:
        assert up(url)
    assert not up(url)


def test_server_stops_after_an_exception(folder: Path) -> None:
    with pytest.raises(ZeroDivisionError), postgres(folder, durable=False) as url:
        raise ZeroDivisionError
    assert not up(url)


def test_concurrent_users_share_one_server(folder: Path) -> None:
    with postgres(folder, durable=False) as first:
        with postgres(folder, durable=False) as second:
            assert second == first
        assert up(first)


def test_server_stops_when_the_program_is_killed(folder: Path) -> None:
    program = (
        "import pathlib, sys, time; from scripts.postgres import postgres\n"
        "with postgres(pathlib.Path(sys.argv[1]), durable=False) as url:\n"
        "    print(url, flush=True)\n"
        "    time.sleep(60)"
    )
    command = [sys.executable, "-c", program, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as user:
        assert user.stdout
        url = user.stdout.readline().strip()
        assert up(url)
        user.kill()
    wait_until_down(url)


def test_server_starts_after_a_crash(folder: Path) -> None:
    file = folder / "data" / "postmaster.pid"
    waiting = [sys.executable, "-c", "input()"]
    with (
        postgres(folder, durable=False) as crashed,
        subprocess.Popen(waiting, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as other,
    ):
        pid = file.read_text().split()[0]
        os.kill(int(pid), signal.SIGKILL)
        wait_until_down(crashed)
        # The system may have reused the process id of the crashed server.
        file.write_text(file.read_text().replace(pid, str(other.pid), 1))
        with postgres(folder, durable=False) as url:
            assert up(url)


def test_error_names_the_version_of_incompatible_data(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "PG_VERSION").write_text("7\n")
    with pytest.raises(RuntimeError, match="made by PostgreSQL 7"), postgres(tmp_path):
        pass
