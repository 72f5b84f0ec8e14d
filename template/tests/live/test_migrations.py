"""Concurrent migrations of one database by several replicas."""

import re
import subprocess
import sys
from subprocess import PIPE

from tests import databases
from tests.live import ROOT, production


def test_concurrent_migrations_run_once(server: str) -> None:
    with databases.database(server) as url:
        databases.migrate(url, "base")
        command = [sys.executable, "-m", "alembic", "upgrade", "head"]
        started = [
            subprocess.Popen(command, cwd=ROOT, env=production(url), stdout=PIPE, text=True)
            for _ in range(3)
        ]
        printed = [process.communicate(timeout=120)[0] for process in started]
        assert [process.returncode for process in started] == [0] * 3, printed
        upgrades = re.findall(r"Running upgrade .*? -> \w+", "".join(printed))
        assert len(upgrades) == len(list(ROOT.glob("migrations/versions/*.py")))
