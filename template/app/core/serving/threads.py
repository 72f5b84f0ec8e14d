"""Size of the thread pool for routes."""

from anyio import to_thread

from app.core.resources import StartError
from app.settings import Settings

_SPARE_THREADS = 30


def set_threads(settings: Settings) -> None:
    """Set the size of the thread pool, above the number of connections; raises StartError."""
    connections = settings.database_pool_size
    size = settings.threadpool_size or connections + _SPARE_THREADS
    if size <= connections:
        raise StartError(
            "THREADPOOL_SIZE is not above DATABASE_POOL_SIZE, so routes without a query would wait "
            "for a connection: unset THREADPOOL_SIZE, or set DATABASE_POOL_SIZE + 30"
        )
    to_thread.current_default_thread_limiter().total_tokens = size
