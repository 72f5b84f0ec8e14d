"""Alembic environment: migrations for the models of every domain."""

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

# Importing the models adds their tables to the metadata.
list(domains.modules("models"))


def render_item(kind: str, item: Any, _context: object) -> str | Literal[False]:
    """Render a type of app.core as SQLAlchemy's own, so that revisions do not import the app."""
    if kind == "type" and isinstance(item, TypeDecorator):
        return f"sa.{item.impl!r}"
    return False


def migrate(connection: Connection) -> None:
    """Migrate the database to the requested revision."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_item=render_item,
# {% if database == "sqlite" %}
        # SQLite cannot alter most of a table, so Alembic copies the table.
        render_as_batch=True,
        # SQLite can roll DDL back, which Alembic does not assume: all revisions apply, or none.
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
    # Alembic prints a CommandError without a traceback.
    raise CommandError(str(error)) from error
