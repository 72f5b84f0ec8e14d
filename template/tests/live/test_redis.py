"""The Redis of the project's own: `scripts/redis.py`."""

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
        assert time.monotonic() < deadline, "the server is still there"
        time.sleep(0.05)


def test_it_stops_at_the_end(tmp_path: Path) -> None:
    with redis(tmp_path) as url:
        assert up(url)
    wait_until_down(url)


def test_it_leaves_its_folder_alone_at_the_end(tmp_path: Path) -> None:
    for _ in range(5):
        with TemporaryDirectory(dir=tmp_path) as folder, redis(Path(folder)):
            pass


def test_who_comes_second_shares_it(tmp_path: Path) -> None:
    with redis(tmp_path) as first:
        with redis(tmp_path) as second:
            assert second == first
        assert up(first)


def test_only_its_user_may_use_it(tmp_path: Path) -> None:
    with redis(tmp_path) as url, Redis(port=urlsplit(url).port or 0, retry=ONCE) as stranger:
        with pytest.raises(AuthenticationError):
            stranger.ping()
        modes = {(tmp_path / name).stat().st_mode & 0o777 for name in ("url", "redis.conf")}
        assert modes == {0o600}


def test_it_stops_when_its_user_is_killed(tmp_path: Path) -> None:
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


def test_it_starts_after_a_crash(tmp_path: Path) -> None:
    with redis(tmp_path) as crashed:
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
        wait_until_down(crashed)
        with redis(tmp_path) as url:
            assert up(url)
