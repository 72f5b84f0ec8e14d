"""Settings of the applications under test."""

from typing import Any

from app.settings import Settings
# {% if redis_cache or cpu_jobs == "celery" %}
from tests import servers
# {% endif %}

# A busy machine must not fail a test. A test about one of these limits sets a lower one.
PATIENCE = {
    # {% if database == "postgresql" %}
    "DATABASE_CONNECT_TIMEOUT_SECONDS": "45",
    "DATABASE_STATEMENT_TIMEOUT_SECONDS": "45",
    # {% else %}
    "DATABASE_BUSY_TIMEOUT_SECONDS": "45",
    # {% endif %}
    "DATABASE_POOL_TIMEOUT_SECONDS": "45",
    "PASSWORD_HASH_WAIT_SECONDS": "45",
    "READINESS_TIMEOUT_SECONDS": "10",
    # {% if redis_cache %}
    "REDIS_SLOW_SECONDS": "45",
    "REDIS_TIMEOUT_SECONDS": "45",
    # {% endif %}
}


def make_settings(url: str, **values: Any) -> Settings:
    """Return settings for this database, with which hashing a password takes a millisecond."""
    values = {
        "environment": "development",
        # The output of a test that fails shows problems only, not each of its requests.
        "log_level": "warning",
        "password_hash_memory_kib": 32,
        **{name.lower(): seconds for name, seconds in PATIENCE.items()},
        # {% if redis_cache or cpu_jobs == "celery" %}
        **servers.urls(),
        # {% endif %}
        **values,
    }
    return Settings(_env_file=None, database_url=url, **values)
