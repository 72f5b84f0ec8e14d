"""The connections that all processes may have together."""

import re

import pytest

from app.budget import refusal
from app.settings import Settings
from tests.settings import make_settings

NOWHERE = "postgresql://127.0.0.1/nowhere"
# Of each replica.
# {% if server == "gunicorn" %}
PROCESSES = 3
# {% endif %}
# {% if server == "uvicorn" %}
PROCESSES = 1
# {% endif %}
# Connections of each process, beside its pool; and those of the workers.
# {% if cpu_jobs != "process_pool" %}
BESIDE = 1
# {% endif %}
# {% if cpu_jobs == "process_pool" %}
BESIDE = 3
# {% endif %}
# {% if cpu_jobs == "celery" %}
WORKERS = 2 * 2 * 2
# {% endif %}
# {% if cpu_jobs != "celery" %}
WORKERS = 0
# {% endif %}
# {% if server == "uvicorn" and cpu_jobs != "celery" %}
REPLICAS = {"replicas": 2}
# {% endif %}
# {% if server == "gunicorn" and cpu_jobs != "celery" %}
REPLICAS = {"replicas": 2, "web_concurrency": 3}
# {% endif %}
# {% if server == "uvicorn" and cpu_jobs == "celery" %}
REPLICAS = {"replicas": 2, "worker_replicas": 2, "worker_concurrency": 2}
# {% endif %}
# {% if server == "gunicorn" and cpu_jobs == "celery" %}
REPLICAS = {"replicas": 2, "web_concurrency": 3, "worker_replicas": 2, "worker_concurrency": 2}
# {% endif %}


def make(**values: int) -> Settings:
    return make_settings(NOWHERE, **REPLICAS, **values)


def test_a_pool_is_what_the_budget_leaves_to_each_process() -> None:
    total = 2 * PROCESSES * (7 + BESIDE) + WORKERS
    assert make(database_connection_budget=total).database_pool_size == 7
    assert make(database_connection_budget=total - 1).database_pool_size == 6


def test_a_budget_that_is_too_low_says_the_sum() -> None:
    total = 2 * PROCESSES * (5 + BESIDE) + WORKERS
    assert not refusal(vars(make(database_pool_size=5)), total)
    sentence = f"{total} connections (2 replicas x {PROCESSES} processes x {5 + BESIDE} connections"
    with pytest.raises(ValueError, match=re.escape(sentence)):
        make(database_connection_budget=total - 1, database_pool_size=5)
    # One connection each is the least.
    with pytest.raises(ValueError, match="lower REPLICAS"):
        make(database_connection_budget=2)
