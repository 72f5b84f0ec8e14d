"""psycopg, with connections that give up a server which has stopped."""

from typing import Any, cast

import psycopg
from sqlalchemy.engine.interfaces import DBAPIConnection, Dialect


class _Connection(psycopg.Connection[Any]):
    """A connection that does not wait for ever."""

    wait_seconds: float | None = None

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait for an answer; without one in time, nobody may use the connection again."""
        try:
            return super().wait(gen, interval, timeout or self.wait_seconds)
        except psycopg.OperationalError as error:
            # An error of the server's has a state; this is one of the connection's.
            if error.sqlstate is None:
                self.pgconn.finish()
            raise


def connect(_dialect: Dialect, _record: object, args: Any, options: Any) -> DBAPIConnection:
    """Connect; the argument `wait_seconds` says how long an answer is waited for."""
    # The server ends a long statement; this is for a server, or a network, that does not answer.
    wait_seconds = options.pop("wait_seconds")
    connection = _Connection.connect(*args, **options)
    connection.wait_seconds = wait_seconds
    return cast(DBAPIConnection, connection)
