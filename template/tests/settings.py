"""Settings of the applications under test."""

from typing import Any

from app.settings import Settings
# {% if redis_cache or cpu_jobs == "celery" %}
from tests import servers
# {% endif %}

# A busy machine must not fail a test. Tests about one of these limits set a lower value.
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
    """Return settings for this database; hashing a password then takes a millisecond."""
    values = {
        "environment": "development",
        # The output of a failing test shows warnings and errors, not each request.
        "log_level": "warning",
        "password_hash_memory_kib": 32,
        # All tests sign up from one IP address.
        "sign_ups_per_ip": 1_000,
        **{name.lower(): seconds for name, seconds in PATIENCE.items()},
        # {% if redis_cache or cpu_jobs == "celery" %}
        **servers.urls(),
        # {% endif %}
        **values,
    }
    return Settings(_env_file=None, database_url=url, **values)
