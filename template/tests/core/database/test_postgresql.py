# {% from "includes/unasync.jinja" import unasync with context %}
"""PostgreSQL: statement timeout, wrong statements, and URLs."""

# {% call unasync() %}
import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from app.core.database.engine import Database, DatabaseUnavailable
from app.core.database.postgresql import build_engine
from app.main import create_app
from tests.client import serve
from tests.settings import make_settings


async def test_a_statement_timeout_raises_database_unavailable(lasting_url: str) -> None:
    app = create_app(make_settings(lasting_url, database_statement_timeout_seconds=0.5))
    async with serve(app), app.state.components[Database].read() as session:
        with pytest.raises(DatabaseUnavailable):
            await session.execute(text("SELECT pg_sleep(5)"))
        limit = await session.scalar(text("SHOW statement_timeout"))
        assert limit == "500ms"


async def test_an_invalid_statement_does_not_raise_database_unavailable(lasting_url: str) -> None:
    app = create_app(make_settings(lasting_url))
    async with serve(app), app.state.components[Database].read() as session:
        statement = text("SELECT * FROM nowhere")
        with pytest.raises(ProgrammingError):
            await session.execute(statement)


# {% endcall %}


def test_urls_of_hosted_databases_are_accepted() -> None:
    url = "postgres://me:hunter2@host/name?sslmode=require&channel_binding=require"
    engine = build_engine(make_settings(url))
    assert engine.url.host == "host"
    assert "require" in engine.url.query.values()


def test_an_invalid_url_is_refused_with_an_example() -> None:
    with pytest.raises(ValueError, match="write it as postgresql://user:password@host:5432/name"):
        make_settings("postgresql://host:port/name")
