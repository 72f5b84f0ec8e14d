"""The servers of a service, without the service."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.project import Project, clean_environment

NAMES = {"BROKER_URL", "DATABASE_URL", "REDIS_URL"}


@contextmanager
def servers(service: Project) -> Iterator[dict[str, str]]:
    """Run what a service needs, as its `poe dev` does; gives the settings that name them."""
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
            # `cat` ends, and with it all.
            process.stdin.close()
            try:
                process.wait(timeout=120)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise
