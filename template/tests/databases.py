"""Databases for tests alone, apart from the developer's."""

# {% if database == "postgresql" %}
# {% if sqlalchemy == "async" %}
import asyncio
# {% endif %}
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from io import StringIO
from pathlib import Path
from uuid import uuid4

# {% if sqlalchemy == "async" %}
import asyncpg
# {% else %}
import psycopg
# {% endif %}
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import make_url

from scripts.postgres import postgres

ROOT = Path(__file__).parent.parent
NOWHERE = "postgresql://127.0.0.1:1/nowhere"


def server(folder: Path) -> AbstractContextManager[str]:
    """Start a private PostgreSQL whose data may be lost if the machine crashes."""
    return postgres(folder, durable=False)


@contextmanager
def database(server: str) -> Iterator[str]:
    """Create and migrate a database, return its URL, and drop the database at the end."""
    name = f"test_{uuid4().hex}"
    _execute(server, f"CREATE DATABASE {name}")
    try:
        url = make_url(server).set(database=name).render_as_string(hide_password=False)
        migrate(url, "head")
        yield url
    finally:
        _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


# {% if sqlalchemy == "async" %}
def _execute(server: str, statement: str) -> None:
    async def execute() -> None:
        connection = await asyncpg.connect(server)
        await connection.execute(statement)
        await connection.close()

    asyncio.run(execute())
# {% else %}
def _execute(server: str, statement: str) -> None:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(statement)
# {% endif %}
# {% else %}
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import make_url

from scripts.sqlite import sqlite

ROOT = Path(__file__).parent.parent
NOWHERE = "sqlite:///nowhere"


server = sqlite


@contextmanager
def database(server: str) -> Iterator[str]:
    """Create and migrate a database in a new folder beside the server's file; return its URL."""
    with TemporaryDirectory(dir=Path(make_url(server).database or "").parent) as folder:
        url = f"sqlite:///{folder}/test.db"
        migrate(url, "head")
        yield url
# {% endif %}


def migrate(url: str, revision: str, *folders: Path) -> None:
    """Migrate to `head`, `base` or a revision, from the service's or from these folders."""
    with _alembic(url) as config:
        locations = [ROOT / "migrations" / "versions", *folders]
        config.set_main_option("version_locations", os.pathsep.join(map(str, locations)))
        config.set_main_option("path_separator", "os")
        (command.downgrade if revision == "base" else command.upgrade)(config, revision)


def revision(url: str) -> str:
    """Return the current revision of the database; empty before the first migration."""
    with _alembic(url) as config, StringIO() as printed:
        config.stdout = printed
        command.current(config)
        return printed.getvalue().partition(" ")[0].strip()


def check(url: str) -> None:
    """Raise an error if the models have a change that no migration makes."""
    with _alembic(url) as config:
        command.check(config)


@contextmanager
def _alembic(url: str) -> Iterator[Config]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", url)
        patch.setenv("ENVIRONMENT", "development")
        patch.setenv("LOG_LEVEL", "warning")
        yield Config(toml_file=str(ROOT / "pyproject.toml"))
