"""How many processes serve."""

from app.core.serving.cpus import CPUS
from app.settings import Settings

# An event loop never waits: more of them than CPUs do no more, and each has connections of its own.
_MAX_PROCESSES = 4


def web_processes(settings: Settings) -> int:
    """Return the number that was asked for, or one for each CPU, but no more than four."""
    if settings.web_concurrency == "auto":
        return min(CPUS, _MAX_PROCESSES)
    return settings.web_concurrency
