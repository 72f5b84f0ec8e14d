"""The runner behind `poe dev` and `poe migrate`."""

import socket
import sys
from pathlib import Path

import pytest

from scripts.dev import SERVERS, free_address, given_settings, run, servers


@pytest.mark.parametrize(
    ("program", "code"),
    [
        ("raise SystemExit(7)", 7),
        ("import os; os.kill(os.getpid(), 9)", 128 + 9),
    ],
)
def test_a_command_gives_its_exit_code(program: str, code: int) -> None:
    assert run([sys.executable, "-c", program]) == code


def test_an_unknown_command_is_named() -> None:
    with pytest.raises(SystemExit, match="no-such-command"):
        run(["no-such-command"])


def test_the_database_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "development")
    for command in (["upgrade", "head"], ["current", "--check-heads"]):
        with servers(tmp_path, ["DATABASE_URL"]) as urls:
            monkeypatch.setenv("DATABASE_URL", urls["DATABASE_URL"])
            assert run([sys.executable, "-m", "alembic", *command]) == 0


def test_a_server_that_cannot_start_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for setting in SERVERS:
        with pytest.raises(SystemExit, match=setting), servers(tmp_path / "file", [setting]):
            pass


def test_the_environment_wins_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("HOST=file\nPORT=1\nLOG_LEVEL=\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PORT", "2")
    monkeypatch.setenv("HOST", "")
    given = given_settings()
    assert (given["HOST"], given["PORT"]) == ("file", "2")
    assert "LOG_LEVEL" not in given


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        with pytest.raises(SystemExit, match=rf"127\.0\.0\.1:{port}.*set PORT"):
            free_address("127.0.0.1", port)
    assert free_address("127.0.0.1", port) == f"http://127.0.0.1:{port}"
