"""Ports and commands of local servers."""

import os
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


def free_port() -> int:
    """Return a free port of 127.0.0.1."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def answers(port: int) -> bool:
    """Return whether a process listens on this port of 127.0.0.1."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def run_apart(folder: Path, command: list[str], env: Mapping[str, str] = os.environ) -> str:
    """Run a command in `folder`, out of reach of Ctrl-C; return its output if it failed."""
    done = subprocess.run(
        command,
        check=False,
        cwd=folder,
        env=env,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return (done.stdout or f"exit code {done.returncode}") if done.returncode else ""


@contextmanager
def at_end(folder: Path, command: list[str], env: Mapping[str, str] = os.environ) -> Iterator[None]:
    """Run a command in `folder` when the context ends, or when this process is killed."""
    # A shell out of reach of Ctrl-C waits for a line, or for the end of this process.
    with subprocess.Popen(
        ["sh", "-c", 'read -r line; exec "$@"', "sh", *command],
        cwd=folder,
        env=env,
        start_new_session=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as shell:
        try:
            yield
        finally:
            shell.communicate(b"\n")
