"""Every service that runs differently passes what its own CI does."""

import functools
import operator
import re
import tomllib
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
import yaml

from tests.matrix import Answers, is_tested_in_full, owner_of, runtime_product
from tests.project import Project
from tests.servers import servers


def test_a_service_passes_the_steps_of_its_ci(service: Project, caches: dict[str, str]) -> None:
    """All tests with one of the servers, by turns; with the other, those that are about it."""
    in_full = is_tested_in_full(service.answers)
    with ExitStack() as stack:
        urls = stack.enter_context(servers(service)) if in_full else {}
        given = {name: url for name, url in urls.items() if name in ci(service).get("env", {})}
        for step in steps(service):
            narrowed = {}
            if step == "uv run poe test" and not in_full:
                narrowed = {"PYTEST_ADDOPTS": "tests/test_live.py tests/test_serving.py"}
            printed = service.run("bash", "-e", "-c", step, **given, **narrowed, **caches)
            assert not re.search(r"\b\d+ (skipped|xfailed|xpassed)", printed)
    assert re.search(r"\b\d+ passed", printed), "The tests are the last of them."


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


@pytest.fixture(scope="session")
def caches(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What mypy knows of the packages, which are the same in all services."""
    return {"MYPY_CACHE_DIR": str(tmp_path_factory.mktemp("mypy"))}


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


def test_every_server_is_tested_in_full() -> None:
    in_full = list(filter(is_tested_in_full, runtime_product()))
    assert len(in_full) * 2 == len(runtime_product())
    assert {answers["server"] for answers in in_full} == {"gunicorn", "uvicorn"}


def test_no_project_can_be_called_as_a_package_that_it_needs(service: Project) -> None:
    """Its own name would shadow the package: add those that are missing to the reserved names."""
    lock = tomllib.loads((service.folder / "uv.lock").read_text())
    needed = [package["name"] for package in lock["package"] if "virtual" not in package["source"]]
    assert not [name for name in needed if not owner_of(name)]
