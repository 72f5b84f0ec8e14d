"""Static checks of every service: types, import contracts, declared packages, interfaces."""

import ast
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests import environments
from tests.matrix import FULLEST, Answers, label, runtime_product
from tests.project import Project, execute
from tests.sources import is_plain, python_sources

DOCUMENTS = Path(__file__).parent / "documents.py"
# This script prints the distributions of each module, and the requirements of each one.
DISTRIBUTIONS = """
import json
from importlib.metadata import distributions, packages_distributions
print(json.dumps([
    packages_distributions(),
    {found.metadata["Name"]: found.requires or [] for found in distributions()},
]))
"""


@pytest.fixture(scope="session")
def services(template: Path, shared: Path) -> Callable[[Answers], Project]:
    """Return a function that renders a service once for all workers; no test changes files."""

    def render_once(answers: Answers) -> Project:
        folder = shared / f"service-{runtime_product().index(answers)}"
        with environments.alone(folder.with_suffix(".flock")):
            if folder.exists():
                return Project(folder, answers)
            return Project.render(template, folder, answers)

    return render_once


@pytest.fixture(scope="session")
def union(services: Callable[[Answers], Project], pythons: list[str], shared: Path) -> Path:
    """Return an environment with the packages of all services, on the newest Python."""
    everyone = map(services, runtime_product())
    return environments.install_union(everyone, pythons[-1], shared)


@pytest.mark.parametrize("answers", runtime_product(), ids=label)
def test_types_contracts_and_packages_are_right(
    answers: Answers, services: Callable[[Answers], Project], union: Path, shared: Path
) -> None:
    service = services(answers)
    cache_folder = environments.mypy_cache(service, union / "bin/python", shared)
    service.run(str(union / "bin/mypy"), "--cache-dir", str(cache_folder))
    service.run(str(union / "bin/lint-imports"), "--no-cache")
    assert not undeclared(service, union)


def undeclared(service: Project, union: Path) -> set[str]:
    """Return imports of packages that a service neither declares nor requires indirectly.

    The environment has the packages of all services, so a missing declaration fails no import.
    """
    modules, requires = distributions(union)
    production, development = environments.declared(service)
    missing = set()
    for folders, packages in (
        (("app", "migrations"), production),
        (("app", "migrations", "scripts", "tests"), [*production, *development]),
    ):
        installed = closure(packages, requires)
        missing |= {
            f"{file.relative_to(service.folder)}: {name}"
            for folder in folders
            for file in (service.folder / folder).rglob("*.py")
            for name in imported(file.read_text()) & modules.keys()
            if not installed & {canonicalize_name(each) for each in modules[name]}
        }
    return missing


@cache
def distributions(union: Path) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Return the distributions of each module, and the requirements of each distribution."""
    printed = execute([str(union / "bin/python"), "-c", DISTRIBUTIONS], union)
    modules, requires = json.loads(printed)
    return modules, {canonicalize_name(name): each for name, each in requires.items()}


def closure(packages: Iterable[str], requires: dict[str, list[str]]) -> set[str]:
    """Return the names of packages and of their direct and indirect requirements, with extras."""
    found: set[tuple[str, str]] = set()
    ahead = [Requirement(package) for package in packages]
    while ahead:
        requirement = ahead.pop()
        name = canonicalize_name(requirement.name)
        for extra in ("", *requirement.extras):
            if (name, extra) not in found:
                found.add((name, extra))
                needed = map(Requirement, requires.get(name, []))
                ahead += [
                    each
                    for each in needed
                    if not each.marker or each.marker.evaluate({"extra": extra})
                ]
    return {name for name, _ in found}


@cache
def imported(code: str) -> frozenset[str]:
    """Return the top-level modules that a file imports."""
    nodes = list(ast.walk(ast.parse(code)))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [
        node.module
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.module and not node.level
    ]
    return frozenset(name.partition(".")[0] for name in names) - sys.stdlib_module_names


@pytest.mark.timeout(900)
def test_plain_sources_pass_ruff_and_mypy(
    template: Path,
    services: Callable[[Answers], Project],
    union: Path,
    shared: Path,
    tmp_path: Path,
) -> None:
    """Check template/ as an editor does: as an async service with every part."""
    read = tmp_path / "template"
    shutil.copytree(template / "template", read)
    service = services(FULLEST)
    shutil.copy(service.folder / "pyproject.toml", read)
    # Files that exist only in sync services use threads, and fail the checks of async ones.
    folders = [services(each).folder for each in runtime_product() if each["sqlalchemy"] == "async"]
    plain = [
        name
        for name, text in python_sources(template).items()
        if is_plain(text) and any((folder / name).exists() for folder in folders)
    ]
    # BLE001 is ignored per file in pyproject.toml, for files of parts.
    execute([str(union / "bin/ruff"), "check", "--no-cache", "--ignore=BLE001", *plain], read)
    execute([str(union / "bin/ruff"), "format", "--check", "--no-cache", *plain], read)

    cache_folder = environments.mypy_cache(service, union / "bin/python", shared)
    mypy = [str(union / "bin/mypy"), "--cache-dir", str(cache_folder), "--no-error-summary"]
    found = subprocess.run(mypy, cwd=read, capture_output=True, text=True, check=False)
    assert not found.stderr
    assert not [line for line in found.stdout.splitlines() if line.partition(":")[0] in plain]


@pytest.mark.timeout(900)
def test_every_service_has_the_same_interface(
    services: Callable[[Answers], Project], union: Path
) -> None:
    """Compare the OpenAPI documents of all services, which may differ by the jobs only."""
    folders = {str(services(answers).folder): answers for answers in runtime_product()}
    printed = execute([str(union / "bin/python"), str(DOCUMENTS), *folders], union)
    documents: dict[str, dict[str, Any]] = json.loads(printed)
    assert not [
        (label(folders[name]), text["error"]) for name, text in documents.items() if "error" in text
    ]

    having = [documents[name] for name, each in folders.items() if each["cpu_jobs"] != "none"]
    without = [documents[name] for name, each in folders.items() if each["cpu_jobs"] == "none"]
    assert "/api/v1/users/me" in without[0]["paths"]
    assert "/api/v1/simulations" in having[0]["paths"]
    for documents_alike in (having, without):
        first, *others = map(json.dumps, documents_alike)
        assert not [other for other in others if other != first]
    assert without_jobs(having[0]) == without[0]


def without_jobs(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document without the paths and schemas of simulations."""
    paths = {k: v for k, v in document["paths"].items() if "/simulations" not in k}
    schemas = document["components"]["schemas"]
    own = {"Prices", "SimulationForm", "SimulationState", "Status"}
    left = {name: schema for name, schema in schemas.items() if name not in own}
    components = document["components"] | {"schemas": left}
    return document | {"paths": paths, "components": components}
