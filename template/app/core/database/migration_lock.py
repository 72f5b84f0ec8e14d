"""One migration at a time, however many replicas begin one."""

import time

import structlog
from sqlalchemy import Connection, func, select

from app.settings import Settings

log = structlog.get_logger()

# Any number that nobody else takes for an advisory lock.
_KEY = 6_315_920_772_104


def wait_for_others(connection: Connection, settings: Settings) -> None:
    """Wait until nobody else migrates this database, and keep others waiting from then on."""
    # For the connection, as a migration may commit between its steps; through PgBouncer nothing
    # lasts for longer than a transaction.
    lock = func.pg_try_advisory_lock
    if settings.database_pgbouncer:
        lock = func.pg_try_advisory_xact_lock
    while True:
        # CREATE INDEX CONCURRENTLY waits for whoever may still look at the table, as a statement
        # that waits would, and a transaction that has asked: a savepoint forgets that it did.
        attempt = connection.begin_nested()
        if connection.scalar(select(lock(_KEY))):
            attempt.commit()
            return
        attempt.rollback()
        log.info("migration_waits", hint="another one is under way")
        time.sleep(0.5)
