"""Limit on the database connections of all processes together."""

from collections.abc import Iterable, Sequence

import structlog

from app.core.resources import ConnectionShare, Resource, StartError
# {% if server == "gunicorn" %}
from app.core.serving.processes import web_processes
# {% endif %}
from app.settings import Settings

log = structlog.get_logger()

_TO_LOWER = (
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
    """Return the share of the serving processes, with this many connections each."""
    # {% if server == "gunicorn" %}
    processes = web_processes(settings)
    # {% else %}
    processes = 1
    # {% endif %}
    return ConnectionShare(purpose, settings.replicas, processes, connections)


def connection_shares(
    settings: Settings, resources: Iterable[type[Resource]]
) -> list[ConnectionShare]:
    """Return the connection shares of all these resources."""
    return [share for resource in resources for share in resource.connection_shares(settings)]


def within_budget(settings: Settings, resources: Sequence[type[Resource]]) -> Settings:
    """Return the settings, with the pool sized to the budget unless set; raises StartError."""
    budget = settings.database_connection_budget
    if budget is None:
        return settings
    if "database_pool_size" not in settings.model_fields_set:
        least = connection_shares(_sized(settings, 1), resources)
        pools = serving_share(settings, "", 1).total
        left = (budget - sum(share.total for share in least)) // pools
        settings = _sized(settings, max(1, 1 + left))
    if sentence := budget_error(connection_shares(settings, resources), budget):
        raise StartError(f"DATABASE_CONNECTION_BUDGET is too low: {sentence}.")
    return settings


def check_limit(settings: Settings, resources: Iterable[type[Resource]], limit: int | None) -> None:
    """Raise StartError if the database allows fewer connections; outside production, warn."""
    # The limit is unknown behind PgBouncer and until the database has answered.
    if limit is None or settings.database_pgbouncer:
        return
    sentence = budget_error(connection_shares(settings, resources), limit)
    if sentence and settings.environment == "production":
        raise StartError(f"The database allows too few connections: {sentence}.")
    if sentence:
        log.warning("connections_do_not_fit", reason=sentence)


def budget_error(shares: Sequence[ConnectionShare], limit: int) -> str:
    """Return the excess and the settings to lower, or an empty string if the shares fit."""
    total = sum(share.total for share in shares)
    if total <= limit:
        return ""
    return (
        f"the service may open {total} connections ({' + '.join(map(str, shares))}), but the "
        f"limit is {limit}: lower {', '.join(_TO_LOWER[:-1])} or {_TO_LOWER[-1]}"
    )


def _sized(settings: Settings, size: int) -> Settings:
    return settings.model_copy(update={"database_pool_size": size})
