"""Servers that a service needs (PostgreSQL, Redis, broker), without the service."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.project import Project, clean_environment

NAMES = {"BROKER_URL", "DATABASE_URL", "REDIS_URL"}


@contextmanager
def servers(service: Project) -> Iterator[dict[str, str]]:
    """Run the servers that `poe dev` starts; yield the settings with their URLs."""
    command = ["uv", "run", "python", "-m", "scripts.dev", "sh", "-c", "env && echo up && cat"]
    with subprocess.Popen(
        command,
        cwd=service.folder,
        env=clean_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        settings = {}
        for line in process.stdout:
            name, _, value = line.rstrip("\n").partition("=")
            if name in NAMES:
                settings[name] = value
            if name == "up":
                break
        try:
            yield settings
        finally:
            # `cat` ends with its input, and scripts.dev then stops the servers.
            process.stdin.close()
            try:
                process.wait(timeout=120)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise
