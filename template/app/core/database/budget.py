"""The connections that all processes of the service may take from the database, together."""

from collections.abc import Iterable, Sequence

import structlog

from app.core.resources import ConnectionShare, Resource, StartError
# {% if server == "gunicorn" %}
from app.core.serving.processes import web_processes
# {% endif %}
from app.settings import Settings

log = structlog.get_logger()

# What to lower when they are too many.
_COUNTS = (
    "REPLICAS",
    # {% if cpu_jobs == "celery" %}
    "WORKER_REPLICAS",
    # {% endif %}
    # {% if server == "gunicorn" %}
    "WEB_CONCURRENCY",
    # {% endif %}
    "DATABASE_POOL_SIZE",
)


def serving_share(settings: Settings, purpose: str, connections: int) -> ConnectionShare:
    """Return the share of the processes that serve, each of which takes these connections."""
    # {% if server == "gunicorn" %}
    processes = web_processes(settings)
    # {% else %}
    processes = 1
    # {% endif %}
    return ConnectionShare(purpose, settings.replicas, processes, connections)


def connection_shares(
    settings: Settings, resources: Iterable[type[Resource]]
) -> list[ConnectionShare]:
    """Return what each of the resources takes."""
    return [share for resource in resources for share in resource.connection_shares(settings)]


def within_budget(settings: Settings, resources: Sequence[type[Resource]]) -> Settings:
    """Return the settings with a pool of the size that the budget leaves, if none was asked for.

    Raises StartError when all processes together may take more than the budget.
    """
    budget = settings.database_connection_budget
    if budget is None:
        return settings
    if "database_pool_size" not in settings.model_fields_set:
        least = connection_shares(_sized(settings, 1), resources)
        pools = serving_share(settings, "", 1).total
        left = (budget - sum(share.total for share in least)) // pools
        settings = _sized(settings, max(1, 1 + left))
    if sentence := budget_error(connection_shares(settings, resources), budget):
        raise StartError(f"DATABASE_CONNECTION_BUDGET does not suffice: {sentence}.")
    return settings


def check_limit(settings: Settings, resources: Iterable[type[Resource]], limit: int | None) -> None:
    """Raise StartError if the database grants fewer connections; in development, warn."""
    # What PgBouncer grants, it tells nobody; nor does a database that has not answered yet.
    if limit is None or settings.database_pgbouncer:
        return
    sentence = budget_error(connection_shares(settings, resources), limit)
    if sentence and settings.environment == "production":
        raise StartError(f"The database does not grant enough: {sentence}.")
    if sentence:
        log.warning("connections_do_not_fit", reason=sentence)


def budget_error(shares: Sequence[ConnectionShare], limit: int) -> str:
    """Return what to change when the shares do not fit, or nothing."""
    total = sum(share.total for share in shares)
    if total <= limit:
        return ""
    return (
        f"the service may take {total} connections ({' + '.join(map(str, shares))}), and {limit} "
        f"is the most: lower {', '.join(_COUNTS[:-1])} or {_COUNTS[-1]}"
    )


def _sized(settings: Settings, size: int) -> Settings:
    return settings.model_copy(update={"database_pool_size": size})
