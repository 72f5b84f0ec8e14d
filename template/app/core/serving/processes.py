"""Number of serving processes."""

from app.core.serving.cpus import CPUS
from app.settings import Settings

# More event loops than CPUs serve no more requests, and each process has its own connections.
_MAX_PROCESSES = 4


def web_processes(settings: Settings) -> int:
    """Return WEB_CONCURRENCY; for `auto`, one process per CPU and at most four."""
    if settings.web_concurrency == "auto":
        return min(CPUS, _MAX_PROCESSES)
    return settings.web_concurrency
