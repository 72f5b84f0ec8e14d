"""The connections that all processes may have together."""

import re

import pytest

from app.core.database.budget import budget_error, connection_shares, within_budget
from app.core.resources import StartError
from app.lifespan import RESOURCES
from app.settings import Settings
from tests.settings import make_settings

# Two replicas, how many processes of theirs serve, how many connections each of these takes beside
# its pool, and how many all workers take.
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


def test_a_pool_is_what_the_budget_leaves_to_each_process() -> None:
    total = PROCESSES * (7 + BESIDE) + WORKERS
    assert make().database_pool_size == 10
    assert make(database_connection_budget=total).database_pool_size == 7
    assert make(database_connection_budget=total - 1).database_pool_size == 6


def test_a_budget_that_is_too_low_says_the_sum() -> None:
    total = PROCESSES * (5 + BESIDE) + WORKERS
    settings = make(database_pool_size=5)
    assert not budget_error(connection_shares(settings, RESOURCES), total)
    sentence = f"{total} connections (2 replicas x {PROCESSES // 2} processes x 6 connections for"
    with pytest.raises(StartError, match=re.escape(sentence)):
        make(database_connection_budget=total - 1, database_pool_size=5)
    # One connection each is the least.
    with pytest.raises(StartError, match="lower REPLICAS"):
        make(database_connection_budget=2)
