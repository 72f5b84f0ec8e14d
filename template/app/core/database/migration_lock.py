"""Lock that keeps replicas from migrating at the same time."""

import time

import structlog
from sqlalchemy import Connection, func, select

from app.settings import Settings

log = structlog.get_logger()

# Advisory lock: any number that no other lock in this database uses.
_KEY = 6_315_920_772_104


def wait_for_others(connection: Connection, settings: Settings) -> None:
    """Acquire the migration lock, waiting while another migration of this database runs."""
    # A session lock outlasts the commits between steps; PgBouncer allows transaction locks only.
    lock = func.pg_try_advisory_lock
    if settings.database_pgbouncer:
        lock = func.pg_try_advisory_xact_lock
    while True:
        # The other migration's CREATE INDEX CONCURRENTLY waits for every snapshot. A waiting
        # statement holds one, and so does a failed attempt until its savepoint is rolled back.
        attempt = connection.begin_nested()
        if connection.scalar(select(lock(_KEY))):
            attempt.commit()
            return
        attempt.rollback()
        log.info("migration_waits", hint="another migration is running")
        time.sleep(0.5)
