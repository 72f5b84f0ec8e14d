"""The services that stand for all pass what their own CI does; any other does when it is named."""

import functools
import operator
import os
import re
import tomllib
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import environments
from tests.matrix import (
    Answers,
    covering,
    default,
    extremes,
    owner_of,
    runtime_product,
)
from tests.project import Project
from tests.servers import servers

SERVICES = covering()
# `poe check` finds nothing in a service that test_static and test_render have not looked for: it is
# run where it might itself be what does not work.
CHECKED = [default(), *extremes()]

pytestmark = pytest.mark.timeout(1800)

# The answers that a file of tests/live is about: a covering service runs it unless one before it
# has the same of them. What is not named here is about all of them.
ABOUT = {
    "tests/live/test_cache_outage.py": {"sqlalchemy", "redis_cache"},
    "tests/live/test_dev.py": {"database", "redis_cache", "cpu_jobs"},
    "tests/live/test_hostile.py": {"sqlalchemy", "database"},
    "tests/live/test_load.py": {"sqlalchemy", "database", "server"},
    "tests/live/test_migrations.py": {"sqlalchemy", "database", "cpu_jobs"},
    "tests/live/test_outage.py": {"sqlalchemy", "database"},
    "tests/live/test_postgres.py": {"database"},
    "tests/live/test_redis.py": {"redis_cache", "cpu_jobs"},
    "tests/live/test_redis_outage.py": {"sqlalchemy", "redis_cache"},
    "tests/live/test_schema.py": {"sqlalchemy", "database", "cpu_jobs"},
    "tests/live/test_serving.py": {"sqlalchemy", "cpu_jobs", "server"},
    "tests/live/test_simulations.py": {"sqlalchemy", "database", "cpu_jobs"},
    "tests/live/test_worker.py": {"sqlalchemy", "database", "cpu_jobs"},
}


def test_a_service_passes_the_steps_of_its_ci(
    service: Project, pytestconfig: pytest.Config, shared: Path
) -> None:
    # The tests that run at once are those of several services.
    environment = {"PYTEST_XDIST_AUTO_NUM_WORKERS": "0"}
    with ExitStack() as stack:
        # By turns with servers that run already, as in CI, and with those that the tests start.
        named = pytestconfig.getoption("--service")
        if runtime_product().index(service.answers) % 2:
            urls = stack.enter_context(servers(service))
            given = ci(service).get("env", {})
            environment |= {name: url for name, url in urls.items() if name in given}
        for step in steps(service):
            narrowed = {}
            if step == "uv run poe check":
                if service.answers not in CHECKED and not named:
                    continue
                python = service.folder / ".venv/bin/python"
                cache = environments.mypy_cache(service, python, shared)
                environment["MYPY_CACHE_DIR"] = str(cache)
            if step == "uv run poe test-live" and not named:
                others = os.environ.get("PYTEST_ADDOPTS", "")
                narrowed = {"PYTEST_ADDOPTS": " ".join([others, *left_to_others(service)])}
            printed = service.run("bash", "-e", "-c", step, **environment, **narrowed)
            assert not re.search(r"\b\d+ (skipped|xfailed|xpassed)", printed)
            if "poe test" in step:
                assert re.search(r"\b\d+ passed", printed)


def left_to_others(service: Project) -> list[str]:
    """Return the options that leave out the files which an earlier service runs alike."""
    before = covering()[: covering().index(service.answers)]
    return [
        f"--ignore={file}"
        for file, about in ABOUT.items()
        if (service.folder / file).exists()
        and any(all(each[name] == service.answers[name] for name in about) for each in before)
    ]


@pytest.mark.parametrize("container", [True, False])
def test_gitlab_does_what_github_does(
    render: Callable[[Answers], Project], *, container: bool
) -> None:
    there = render({"ci": "github", "container": container}).files()[".github/workflows/ci.yml"]
    jobs = yaml.safe_load(there)["jobs"].values()
    commands = [step["run"] for job in jobs for step in job["steps"] if "run" in step]
    here = render({"ci": "gitlab", "container": container}).files()[".gitlab-ci.yml"]
    scripts = [job["script"] for job in yaml.safe_load(here).values() if "script" in job]
    assert functools.reduce(operator.iadd, scripts, []) == commands
    assert any("docker compose" in command for command in commands) == container


def ci(service: Project) -> dict[str, Any]:
    """Return the job of a service's workflow that tests it."""
    workflow = (service.folder / ".github/workflows/ci.yml").read_text()
    test: dict[str, Any] = yaml.safe_load(workflow)["jobs"]["test"]
    return test


def steps(service: Project) -> list[str]:
    """Return the commands of that job, but for those that may fail."""
    return [
        step["run"]
        for step in ci(service)["steps"]
        if "run" in step and not step.get("continue-on-error")
    ]


def test_no_project_can_be_called_as_a_package_that_it_needs(service: Project) -> None:
    """Its own name would shadow the package: add those that are missing to the reserved names."""
    lock = tomllib.loads((service.folder / "uv.lock").read_text())
    needed = [package["name"] for package in lock["package"] if "virtual" not in package["source"]]
    assert not [name for name in needed if not owner_of(name)]
