"""Chaos tests: services in production while processes, databases and clients misbehave."""

import re
import shutil
from pathlib import Path

import pytest

from tests.matrix import Answers, default, runtime_product
from tests.project import Project

CHAOS = Path(__file__).parent / "chaos"
# Chaos tests concern the server and the database. `make test` runs the default service, and
# `make test-all` also services with the other server, or with sync code.
ALIKE: Answers = {"database": "postgresql", "redis_cache": False, "cpu_jobs": "none"}
EVERY = [answers for answers in runtime_product() if answers.items() >= ALIKE.items()]
SERVICES = [default()]

pytestmark = pytest.mark.timeout(1200)


def test_service_passes_the_chaos_tests(service: Project, tmp_path: Path) -> None:
    installed, answers = service, service.answers
    folder = tmp_path / "service"
    shutil.copytree(installed.folder, folder, ignore=shutil.ignore_patterns(".venv"))
    service = Project(folder, answers)
    domain = service.folder / "app/domains/chaos"
    domain.mkdir()
    (domain / "__init__.py").write_text('"""Chaos."""\n')
    shutil.copy(CHAOS / f"{answers['sqlalchemy']}_router.py", domain / "router.py")
    shutil.copy(CHAOS / "test_chaos.py", service.folder / "tests/live/test_chaos.py")
    python = str(installed.folder / ".venv/bin/python")
    service.run(python, "-m", "ruff", "check")
    service.run(python, "-m", "ruff", "format", "--check")
    printed = service.run(python, "-m", "pytest", "-p", "no:logging", "tests/live/test_chaos.py")
    assert re.search(r"\b\d+ passed", printed)
