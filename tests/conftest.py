import json
from collections.abc import Callable, Generator
from functools import cache
from pathlib import Path

import pytest

from tests import environments
from tests.matrix import (
    TEMPLATE,
    Answers,
    choices,
    copy_checkout,
    label,
    questions,
    runtime_product,
    spread,
)
from tests.project import Project, execute
from tests.timing import Timing


def pytest_configure(config: pytest.Config) -> None:
    """Register the plugin that measures the steps of each test."""
    config.pluginmanager.register(Timing())


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --service, which runs one service instead of a module's set."""
    parser.addoption(
        "--service",
        metavar="ANSWERS",
        help='run all tests of this service only, as in "sqlalchemy=sync database=sqlite …"',
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrize `chosen` with the module's services, or with the one of --service."""
    if "chosen" in metafunc.fixturenames:
        named = metafunc.config.getoption("--service")
        known = {label(answers): answers for answers in runtime_product()}
        if named and named not in known:
            raise pytest.UsageError(f"--service={named}: unknown, see `python -m tests.matrix`")
        services = [known[named]] if named else metafunc.module.SERVICES
        metafunc.parametrize("chosen", services, ids=label, scope="module")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the slowest modules first, so that no worker runs one alone at the end."""
    first = ("test_runtime", "test_chaos", "test_container", "test_smoke", "test_static")
    order = {f"{name}.py": place for place, name in enumerate(first)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the template as in this checkout: tracked and new files, no .git."""
    snapshot = tmp_path_factory.mktemp("template")
    copy_checkout(snapshot)
    return snapshot


@pytest.fixture(scope="session")
def render(
    template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Answers], Project]:
    """Return a function that renders a service into a new folder."""
    return lambda answers: Project.render(template, tmp_path_factory.mktemp("service"), answers)


@pytest.fixture(scope="session")
def pythons() -> list[str]:
    """Return the Python versions of this machine that services support."""
    found = json.loads(
        execute(["uv", "python", "list", "--only-installed", "--output-format=json"], TEMPLATE)
    )
    versions = {f"{v['version_parts']['major']}.{v['version_parts']['minor']}" for v in found}
    return [str(v) for v in choices(questions()["python_version"]) if v in versions]


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that all workers of this run share."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if own.name.startswith("popen-") else own) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def install(
    render: Callable[[Answers], Project], pythons: list[str], shared: Path
) -> Callable[[Answers], Project]:
    """Return a function that renders a service and installs its packages, once per worker."""
    python = {label(answers): python for answers, python in spread(runtime_product(), pythons)}

    @cache
    def install_once(name: str) -> Project:
        answers = next(each for each in runtime_product() if label(each) == name)
        project = render(answers)
        environments.install(project, python[name], shared)
        return project

    return lambda answers: install_once(label(answers))


@pytest.fixture(scope="module")
def service(chosen: Answers, install: Callable[[Answers], Project]) -> Project:
    """Return each of a module's services, installed on one of this machine's Pythons."""
    return install(chosen)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the command that renders the failed service to the report."""
    report = yield
    if report.failed:
        for value in getattr(item, "funcargs", {}).values():
            if isinstance(value, Project):
                report.sections.append(
                    ("the service", f'make variant ANSWERS="{label(value.answers)}"')
                )
    return report
