"""The threads that routes run in."""

from anyio import to_thread

from app.core.resources import StartError
from app.settings import Settings

# For routes that use no connection to the database.
_SPARE_THREADS = 30


def set_threads(settings: Settings) -> None:
    """Allow as many threads as there are connections to the database, and some to spare.

    Raises StartError if none is to spare.
    """
    connections = settings.database_pool_size
    size = settings.threadpool_size or connections + _SPARE_THREADS
    if size <= connections:
        raise StartError(
            "THREADPOOL_SIZE is not above DATABASE_POOL_SIZE: routes that need no connection "
            "would wait for one; leave it out, or add 30"
        )
    to_thread.current_default_thread_limiter().total_tokens = size
