"""The migrations, on a database of their own."""

import re
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import pytest

from tests import databases
from tests.live import production

ROOT = Path(__file__).parent.parent

FAILING = """
revision = "failing"
down_revision = {before!r}


def upgrade() -> None:
    raise ZeroDivisionError
"""


def test_they_go_up_and_down_and_up_to_what_the_models_say(server: str) -> None:
    with databases.database(server) as url:
        databases.migrate(url, "base")
        databases.migrate(url, "head")
        databases.check(url)


def test_one_that_fails_takes_those_before_it_along(server: str, tmp_path: Path) -> None:
    with databases.database(server) as url:
        before = databases.revision(url) or None
        databases.migrate(url, "base")
        (tmp_path / "failing.py").write_text(FAILING.format(before=before))
        with pytest.raises(ZeroDivisionError):
            databases.migrate(url, "failing", tmp_path)
        assert databases.revision(url) == ""
        databases.migrate(url, "head")


def test_those_that_begin_at_once_are_one(server: str) -> None:
    with databases.database(server) as url:
        databases.migrate(url, "base")
        command = [sys.executable, "-m", "alembic", "upgrade", "head"]
        started = [
            subprocess.Popen(command, cwd=ROOT, env=production(url), stdout=PIPE, text=True)
            for _ in range(3)
        ]
        printed = [process.communicate(timeout=300)[0] for process in started]
        assert [process.returncode for process in started] == [0] * 3, printed
        upgrades = re.findall(r"Running upgrade .*? -> \w+", "".join(printed))
        assert len(upgrades) == len(list(ROOT.glob("migrations/versions/*.py")))
