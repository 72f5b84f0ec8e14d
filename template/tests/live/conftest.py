"""Fixtures and time limit of the tests that drive real processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import Service, running

FOLDER = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Set a longer time limit: processes take long to start on a busy machine."""
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="session")
def service(lasting_url: str) -> Iterator[Service]:
    """Start the service, with a limit on sign-in attempts that no test reaches."""
    with running(lasting_url) as service:
        yield service
