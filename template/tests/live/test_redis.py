"""Start, sharing and stop of the Redis that `scripts/redis.py` runs."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import pytest
from redis import Redis
from redis.exceptions import AuthenticationError

from scripts.processes import answers
from scripts.redis import ONCE, redis


def up(url: str) -> bool:
    return answers(urlsplit(url).port or 0)


def wait_until_down(url: str) -> None:
    deadline = time.monotonic() + 60
    while up(url):
        assert time.monotonic() < deadline, "the server still accepts connections"
        time.sleep(0.05)


def test_server_stops_at_the_end_of_the_block(tmp_path: Path) -> None:
    with redis(tmp_path) as url:
        assert up(url)
    wait_until_down(url)


def test_folder_can_be_deleted_after_the_block(tmp_path: Path) -> None:
    for _ in range(5):
        with TemporaryDirectory(dir=tmp_path) as folder, redis(Path(folder)):
            pass


def test_concurrent_users_share_one_server(tmp_path: Path) -> None:
    with redis(tmp_path) as first:
        with redis(tmp_path) as second:
            assert second == first
        assert up(first)


def test_password_is_required_and_readable_by_its_user_only(tmp_path: Path) -> None:
    with redis(tmp_path) as url, Redis(port=urlsplit(url).port or 0, retry=ONCE) as stranger:
        with pytest.raises(AuthenticationError):
            stranger.ping()
        modes = {(tmp_path / name).stat().st_mode & 0o777 for name in ("url", "redis.conf")}
        assert modes == {0o600}


def test_server_stops_when_the_program_is_killed(tmp_path: Path) -> None:
    program = (
        "import pathlib, sys, time; from scripts.redis import redis\n"
        "with redis(pathlib.Path(sys.argv[1])) as url:\n"
        "    print(url, flush=True)\n"
        "    time.sleep(60)"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as user:
        assert user.stdout
        url = user.stdout.readline().strip()
        assert up(url)
        user.kill()
    wait_until_down(url)


def test_server_starts_after_a_crash(tmp_path: Path) -> None:
    with redis(tmp_path) as crashed:
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
        wait_until_down(crashed)
        with redis(tmp_path) as url:
            assert up(url)
