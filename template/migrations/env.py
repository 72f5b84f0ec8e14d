"""Alembic's entry: the models of every domain, found by themselves, on the service's own engine."""

from typing import Any, Literal

from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection, TypeDecorator
from sqlalchemy.exc import OperationalError

from app import domains
from app.core.database.engine import run_migrations
# {% if database == "postgresql" %}
from app.core.database.migration_lock import wait_for_others
# {% endif %}
from app.core.database.models import Base
from app.core.logging import configure_logging
from app.settings import SettingsError, load_settings

# Importing them adds their tables to the metadata.
list(domains.modules("models"))


def render_item(kind: str, item: Any, _context: object) -> str | Literal[False]:
    """Write a type of ours into a revision as the database's own, which needs no import."""
    if kind == "type" and isinstance(item, TypeDecorator):
        return f"sa.{item.impl!r}"
    return False


def migrate(connection: Connection) -> None:
    """Bring the database to the revision that was asked for."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_item=render_item,
# {% if database == "sqlite" %}
        # SQLite cannot alter most of a table: Alembic copies it instead.
        render_as_batch=True,
        # It can undo what it did to tables, whatever Alembic presumes: all revisions, or none.
        transactional_ddl=True,
# {% endif %}
    )
    with context.begin_transaction():
        # {% if database == "postgresql" %}
        wait_for_others(connection, settings)
        # {% endif %}
        context.run_migrations()


try:
    settings = load_settings()
    configure_logging(settings)
    run_migrations(settings, migrate)
except (OperationalError, SettingsError) as error:
    # A sentence, not a traceback.
    raise CommandError(str(error)) from error
