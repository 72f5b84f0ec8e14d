"""Runner of `poe dev` and `poe migrate`: exit codes, settings and ports."""

import socket
import sys
from pathlib import Path

import pytest

from scripts.dev import free_address, given_settings, run


@pytest.mark.parametrize(
    ("program", "code"),
    [
        ("raise SystemExit(7)", 7),
        ("import os; os.kill(os.getpid(), 9)", 128 + 9),
    ],
)
def test_run_returns_the_exit_code_of_the_command(program: str, code: int) -> None:
    assert run([sys.executable, "-c", program]) == code


def test_an_unknown_command_is_named_in_the_error() -> None:
    with pytest.raises(SystemExit, match="no-such-command"):
        run(["no-such-command"])


def test_environment_variables_override_the_env_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("HOST=file\nPORT=1\nLOG_LEVEL=\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PORT", "2")
    monkeypatch.setenv("HOST", "")
    given = given_settings()
    assert (given["HOST"], given["PORT"]) == ("file", "2")
    assert "LOG_LEVEL" not in given


def test_a_port_in_use_is_named_in_the_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        with pytest.raises(SystemExit, match=rf"127\.0\.0\.1:{port}.*set PORT"):
            free_address("127.0.0.1", port)
    assert free_address("127.0.0.1", port) == f"http://127.0.0.1:{port}"
