"""Budget of database connections for all processes together."""

import re

import pytest

from app.core.database.budget import budget_error, connection_shares, within_budget
from app.core.resources import StartError
from app.lifespan import RESOURCES
from app.settings import Settings
from tests.settings import make_settings

# PROCESSES is the number of serving processes in two replicas. BESIDE counts the connections of
# each one outside its pool, WORKERS the connections of all workers.
# {% if server == "gunicorn" %}
COUNTS = {"replicas": 2, "web_concurrency": 3}
PROCESSES = 2 * 3
# {% else %}
COUNTS = {"replicas": 2}
PROCESSES = 2
# {% endif %}
# {% if cpu_jobs == "celery" %}
COUNTS |= {"worker_replicas": 2, "worker_concurrency": 2}
BESIDE, WORKERS = 1, 2 * 2 * 2
# {% else %}
BESIDE, WORKERS = {{ 3 if cpu_jobs == "process_pool" else 1 }}, 0
# {% endif %}


def make(**values: int) -> Settings:
    settings = make_settings("postgresql://127.0.0.1/nowhere", **COUNTS, **values)
    return within_budget(settings, RESOURCES)


def test_the_budget_limits_the_pool_size_of_each_process() -> None:
    total = PROCESSES * (7 + BESIDE) + WORKERS
    assert make().database_pool_size == 10
    assert make(database_connection_budget=total).database_pool_size == 7
    assert make(database_connection_budget=total - 1).database_pool_size == 6


def test_an_insufficient_budget_is_refused_with_the_sum() -> None:
    total = PROCESSES * (5 + BESIDE) + WORKERS
    settings = make(database_pool_size=5)
    assert not budget_error(connection_shares(settings, RESOURCES), total)
    message = f"{total} connections (2 replicas x {PROCESSES // 2} processes x 6 connections for"
    with pytest.raises(StartError, match=re.escape(message)):
        make(database_connection_budget=total - 1, database_pool_size=5)
    # Each pool needs at least one connection.
    with pytest.raises(StartError, match="lower REPLICAS"):
        make(database_connection_budget=2)
