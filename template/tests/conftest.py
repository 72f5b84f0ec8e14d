# {% from "includes/unasync.jinja" import unasync with context %}
"""Fixtures for all tests, and the start of the servers that tests need."""

# {% call unasync() %}
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack

import pytest
from fastapi import FastAPI

from app.core.database.engine import Database
from app.main import create_app
from app.settings import Settings
from tests import databases, servers
from tests.accounts import Account, sign_up
from tests.client import Client, serve
from tests.settings import make_settings


def pytest_sessionstart(session: pytest.Session) -> None:
    """Start the servers before the workers of pytest-xdist, which inherit the environment."""
    config = session.config
    if not config.option.collectonly and not hasattr(config, "workerinput"):
        stack = ExitStack()
        config.add_cleanup(stack.close)
        stack.enter_context(servers.environment())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the command for the tests that were left out."""
    config = terminalreporter.config
    if config.args_source is not pytest.Config.ArgsSource.TESTPATHS:
        return
    if config.getini("testpaths") == ["tests/live"]:
        terminalreporter.line("Not run here: the other tests. Run `poe test`.")
    elif "tests/live" in (config.option.ignore or []):
        terminalreporter.line("Not run here: tests/live. Run `poe test-live`.")


@pytest.fixture(scope="session")
def server() -> str:
    """Return the URL of the server for the tests' databases."""
    return os.environ["DATABASE_URL"]


@pytest.fixture(scope="session")
def database_url(server: str) -> Iterator[str]:
    """Return the URL of a database that is empty for each test, as every test is rolled back."""
    with databases.database(server) as url:
        yield url


@pytest.fixture(scope="session")
def lasting_url(server: str) -> Iterator[str]:
    """Return the URL of a database whose tests commit: each finds rows of earlier tests."""
    with databases.database(server) as url:
        yield url


@pytest.fixture
def settings(database_url: str, request: pytest.FixtureRequest) -> Settings:
    """Return the application's settings; parametrize this fixture to change some."""
    return make_settings(database_url, **getattr(request, "param", {}))


@pytest.fixture
def app(settings: Settings) -> FastAPI:
    """Return an application for this test alone, which may add routes."""
    return create_app(settings)

# {% if sqlalchemy == "async" %}

@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Return the name of the event loop that the service runs on."""
    return "asyncio"

# {% endif %}

@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[Client]:
    """Return a client whose requests share one transaction, which is rolled back."""
    async with serve(app) as client:
        database = app.state.components[Database]
        async with database.engine.connect() as connection:
            transaction = await connection.begin()
            options = {"bind": connection, "join_transaction_mode": "create_savepoint"}
            database.read_sessions.configure(**options)
            database.write_sessions.configure(**options)
            yield client
            await transaction.rollback()


@pytest.fixture
async def lasting_client(lasting_url: str) -> AsyncIterator[Client]:
    """Return a client whose requests commit."""
    async with serve(create_app(make_settings(lasting_url))) as client:
        yield client


@pytest.fixture
async def ann(client: Client) -> Account:
    """Somebody who signed up and in."""
    return await sign_up(client, "Ann")


@pytest.fixture
async def bob(client: Client) -> Account:
    """Somebody else."""
    return await sign_up(client, "Bob")
# {% endcall %}
