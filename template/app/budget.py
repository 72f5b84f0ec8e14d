"""The connections that all processes of the service may have to the database, together."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import ValidationInfo

# {% if cpu_jobs == "celery" %}
from app.cpus import available_cpus

# Once, because it reads files.
_CPUS = available_cpus()

# {% endif %}
# What to change when they are too many.
# {% if server == "uvicorn" and cpu_jobs != "celery" %}
_LOWER = "REPLICAS or DATABASE_POOL_SIZE"
# {% endif %}
# {% if server == "uvicorn" and cpu_jobs == "celery" %}
_LOWER = "REPLICAS, WORKER_REPLICAS or DATABASE_POOL_SIZE"
# {% endif %}
# {% if server == "gunicorn" and cpu_jobs != "celery" %}
_LOWER = "REPLICAS, WEB_CONCURRENCY or DATABASE_POOL_SIZE"
# {% endif %}
# {% if server == "gunicorn" and cpu_jobs == "celery" %}
_LOWER = "REPLICAS, WORKER_REPLICAS, WEB_CONCURRENCY or DATABASE_POOL_SIZE"
# {% endif %}


class Share(NamedTuple):
    """Processes of one kind, and how many connections each may have."""

    purpose: str
    replicas: int
    processes: int
    connections: int

    @property
    def total(self) -> int:
        """Of all of them."""
        return self.replicas * self.processes * self.connections

    def __str__(self) -> str:
        return (
            f"{self.replicas} replicas x {self.processes} processes x "
            f"{self.connections} connections for {self.purpose}"
        )


def shares(settings: Mapping[str, Any]) -> list[Share]:
    """Who may have how many, by the settings."""
    # {% if cpu_jobs != "process_pool" %}
    # Beside the pool, one for the health check.
    connections = settings["database_pool_size"] + 1
    # {% endif %}
    # {% if cpu_jobs == "process_pool" %}
    # Beside the pool, one for the health check, and two for jobs.
    connections = settings["database_pool_size"] + 3
    # {% endif %}
    # {% if server == "gunicorn" %}
    processes = settings["web_concurrency"]
    requests = Share("requests", settings["replicas"], processes, connections)
    # {% endif %}
    # {% if server == "uvicorn" %}
    requests = Share("requests", settings["replicas"], 1, connections)
    # {% endif %}
    # {% if cpu_jobs == "celery" %}
    workers = settings["worker_concurrency"]
    if workers == "auto":
        workers = _CPUS
    # For the job, and to say that it goes on.
    return [requests, Share("jobs", settings["worker_replicas"], workers, 2)]
    # {% endif %}
    # {% if cpu_jobs != "celery" %}
    return [requests]
    # {% endif %}


def refusal(settings: Mapping[str, Any], limit: int) -> str:
    """What to say when they do not fit; empty when they do."""
    each = shares(settings)
    total = sum(share.total for share in each)
    if total <= limit:
        return ""
    return (
        f"the service may take {total} connections ({' + '.join(map(str, each))}), and {limit} is "
        f"the most: lower {_LOWER}"
    )


def pool_size(settings: Mapping[str, Any]) -> int:
    """What the budget leaves to each process that serves, or else ten."""
    budget: int | None = settings["database_connection_budget"]
    if budget is None:
        return 10
    requests, *others = shares({**settings, "database_pool_size": 0})
    left = budget - sum(share.total for share in others)
    return max(1, left // (requests.replicas * requests.processes) - requests.connections)


def within_budget(size: int, info: ValidationInfo) -> int:
    """Refuse a pool with which all processes together would take more than the budget."""
    settings = {**info.data, "database_pool_size": size}
    try:
        budget = settings["database_connection_budget"]
        sentence = "" if budget is None else refusal(settings, budget)
    except KeyError:  # What it depends on is wrong already.
        return size
    if sentence:
        raise ValueError(sentence)
    return size
