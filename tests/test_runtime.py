"""Every service that runs differently passes its own checks and its own tests."""

import re
import tomllib

from tests.matrix import owner_of
from tests.project import Project


def test_a_service_passes_its_own_checks(service: Project) -> None:
    service.run("uv", "run", "poe", "check")


def test_a_service_passes_its_own_tests(service: Project) -> None:
    printed = service.run("uv", "run", "poe", "test")
    assert re.search(r"\b\d+ passed", printed)
    assert not re.search(r"\b\d+ (skipped|xfailed|xpassed)", printed)


def test_no_project_can_be_called_as_a_package_that_it_needs(service: Project) -> None:
    """Its own name would shadow the package: add those that are missing to the reserved names."""
    lock = tomllib.loads((service.folder / "uv.lock").read_text())
    needed = [package["name"] for package in lock["package"] if "virtual" not in package["source"]]
    assert not [name for name in needed if not owner_of(name)]
