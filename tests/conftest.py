import json
import shutil
import subprocess
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from tests.matrix import TEMPLATE, Answers, choices, label, questions, runtime_product, spread
from tests.project import Project, execute


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template as it lies in the checkout: tracked and new files, without Git."""
    snapshot = tmp_path_factory.mktemp("template")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=TEMPLATE,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (TEMPLATE / name).is_file():
            (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(TEMPLATE / name, snapshot / name)
    return snapshot


@pytest.fixture(scope="session")
def render(
    template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Answers], Project]:
    """Render a service into a folder of its own."""
    return lambda answers: Project.render(template, tmp_path_factory.mktemp("service"), answers)


@pytest.fixture(scope="session")
def pythons() -> list[str]:
    """The Pythons of this machine that a service supports."""
    found = json.loads(
        execute(["uv", "python", "list", "--only-installed", "--output-format=json"], TEMPLATE)
    )
    versions = {f"{v['version_parts']['major']}.{v['version_parts']['minor']}" for v in found}
    return [str(v) for v in choices(questions()["python_version"]) if v in versions]


@pytest.fixture(scope="session")
def install(
    render: Callable[[Answers], Project], pythons: list[str]
) -> Callable[[Answers], Project]:
    """Render a service and install its environment, once for all tests that ask for it."""
    python = {label(answers): python for answers, python in spread(runtime_product(), pythons)}
    installed: dict[str, Project] = {}

    def install_once(answers: Answers) -> Project:
        name = label(answers)
        if name not in installed:
            installed[name] = render(answers)
            installed[name].run("uv", "sync", "--python", python[name])
        return installed[name]

    return install_once


@pytest.fixture(scope="module", params=runtime_product(), ids=label)
def service(request: pytest.FixtureRequest, install: Callable[[Answers], Project]) -> Project:
    """Each service that runs differently, installed on one of this machine's Pythons."""
    return install(request.param)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say below a failure which service it is about, and how to render that."""
    report = yield
    if report.failed:
        for value in getattr(item, "funcargs", {}).values():
            if isinstance(value, Project):
                report.sections.append(
                    ("the service", f'make variant ANSWERS="{label(value.answers)}"')
                )
    return report
