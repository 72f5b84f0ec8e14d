"""CI steps of the covering set of services, or of the service that --service names."""

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
# test_static and test_render run the checks of `poe check` for every service. Only these services
# run the command, to test the command itself.
CHECKED = [default(), *extremes()]

pytestmark = pytest.mark.timeout(1800)

# A file of tests/live depends on these answers only: a covering service ignores the file if an
# earlier service has the same ones. Files that are not listed depend on all answers. "jobs" is
# whether there are jobs: their interface and their table are the same with both kinds of workers.
ABOUT = {
    "tests/live/test_cache_outage.py": {"sqlalchemy", "redis_cache"},
    "tests/live/test_dev.py": {"database", "redis_cache", "cpu_jobs"},
    "tests/live/test_hostile.py": {"sqlalchemy", "database"},
    "tests/live/test_load.py": {"sqlalchemy", "database"},
    "tests/live/test_migrations.py": {"sqlalchemy", "database", "jobs"},
    "tests/live/test_outage.py": {"sqlalchemy", "database"},
    "tests/live/test_postgres.py": {"database"},
    "tests/live/test_redis.py": {"redis_cache", "cpu_jobs"},
    "tests/live/test_redis_outage.py": {"sqlalchemy", "redis_cache"},
    "tests/live/test_schema.py": {"sqlalchemy", "database", "jobs"},
    "tests/live/test_serving.py": {"sqlalchemy", "cpu_jobs", "server"},
    "tests/live/test_simulations.py": {"sqlalchemy", "database", "cpu_jobs"},
    "tests/live/test_worker.py": {"sqlalchemy", "database", "cpu_jobs"},
}


def test_a_service_passes_the_steps_of_its_ci(
    service: Project, pytestconfig: pytest.Config, shared: Path
) -> None:
    # Several services run at once, so each runs its tests in one process.
    environment = {"PYTEST_XDIST_AUTO_NUM_WORKERS": "0"}
    with ExitStack() as stack:
        # Every other service uses servers that run already, as in CI; the rest start their own.
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


def traits(answers: Answers) -> dict[str, object]:
    """Return the answers, and whether there are jobs."""
    return {**answers, "jobs": answers["cpu_jobs"] != "none"}


def left_to_others(service: Project) -> list[str]:
    """Return the options to ignore files that an earlier service with the same answers runs."""
    own = traits(service.answers)
    before = [traits(each) for each in covering()[: covering().index(service.answers)]]
    return [
        f"--ignore={file}"
        for file, about in ABOUT.items()
        if (service.folder / file).exists()
        and any(all(each[name] == own[name] for name in about) for each in before)
    ]


@pytest.mark.parametrize("container", [True, False])
def test_gitlab_runs_the_commands_of_github(
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
    """Return the `test` job of a service's GitHub workflow."""
    workflow = (service.folder / ".github/workflows/ci.yml").read_text()
    test: dict[str, Any] = yaml.safe_load(workflow)["jobs"]["test"]
    return test


def steps(service: Project) -> list[str]:
    """Return the commands of the `test` job, except commands that may fail."""
    return [
        step["run"]
        for step in ci(service)["steps"]
        if "run" in step and not step.get("continue-on-error")
    ]


def test_names_of_required_packages_are_reserved(service: Project) -> None:
    """Check that no project shadows a package; add missing names to includes/answers.jinja."""
    lock = tomllib.loads((service.folder / "uv.lock").read_text())
    needed = [package["name"] for package in lock["package"] if "virtual" not in package["source"]]
    assert not [name for name in needed if not owner_of(name)]
