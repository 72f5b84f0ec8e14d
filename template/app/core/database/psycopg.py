"""psycopg connections with a timeout for a server that hangs."""

from typing import Any, cast

import psycopg
from sqlalchemy.engine.interfaces import DBAPIConnection, Dialect


class _Connection(psycopg.Connection[Any]):
    """Connection with a timeout for every response of the server."""

    wait_seconds: float | None = None

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Wait for the server; close the connection on timeout, as a late answer may come."""
        try:
            return super().wait(gen, interval, timeout or self.wait_seconds)
        except psycopg.OperationalError as error:
            # Errors of the server have a SQLSTATE; an error of the connection has none.
            if error.sqlstate is None:
                self.pgconn.finish()
            raise


def connect(_dialect: Dialect, _record: object, args: Any, options: Any) -> DBAPIConnection:
    """Connect; `wait_seconds` limits each wait for a server or a network that hangs."""
    wait_seconds = options.pop("wait_seconds")
    connection = _Connection.connect(*args, **options)
    connection.wait_seconds = wait_seconds
    return cast(DBAPIConnection, connection)
