"""Servers that `poe dev` and `poe migrate` start."""

import sys
from pathlib import Path

import pytest

from scripts.dev import SERVERS, run, servers


def test_database_survives_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "development")
    for command in (["upgrade", "head"], ["current", "--check-heads"]):
        with servers(tmp_path, ["DATABASE_URL"]) as urls:
            monkeypatch.setenv("DATABASE_URL", urls["DATABASE_URL"])
            assert run([sys.executable, "-m", "alembic", *command]) == 0


def test_failed_server_start_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for setting in SERVERS:
        with pytest.raises(SystemExit, match=setting), servers(tmp_path / "file", [setting]):
            pass
