"""Settings of the database."""

from pydantic import Field, SecretStr, field_validator

from app.settings_parts.common import CommonSettings, checked_url

# Accepted scheme of the URL, as a pattern, and the example to show.
# {% if database == "postgresql" %}
_URL = ("postgres(ql)?://", "postgresql://user:password@host:5432/name")
# {% else %}
_URL = ("sqlite:///", "sqlite:///folder/file.db")
# {% endif %}


class DatabaseSettings(CommonSettings):
    """URL, timeouts and connections of the database."""

    database_url: SecretStr
    # Seconds that a request waits for a pooled connection before 503.
    database_pool_timeout_seconds: float = Field(default=5, gt=0)
    # {% if database == "postgresql" %}
    # Set when PgBouncer pools by transaction.
    database_pgbouncer: bool = False
    # Connections are replaced at this age, before firewalls or proxies drop idle ones.
    database_pool_recycle_seconds: int = Field(default=1_800, ge=1)
    database_connect_timeout_seconds: int = Field(default=2, ge=2)
    database_statement_timeout_seconds: float = Field(default=5, gt=0)
    replicas: int = Field(default=1, ge=1)
    # {% if cpu_jobs == "celery" %}
    worker_replicas: int = Field(default=1, ge=0)
    # {% endif %}
    # Connections of all processes together; sets the pool size if that is unset.
    database_connection_budget: int | None = Field(default=None, ge=1)
    # {% else %}
    # Seconds that a writer waits for another writer's lock.
    database_busy_timeout_seconds: float = Field(default=5, gt=0)
    # {% endif %}
    # Seconds that start-up waits for the database; after that, the service starts unready.
    database_start_timeout_seconds: float = Field(default=10, ge=0)
    readiness_timeout_seconds: float = Field(default=1, gt=0)
    # Connections of each server process.
    database_pool_size: int = Field(default=10, ge=1)

    @field_validator("database_url")
    @classmethod
    def _url_of_database(cls, value: SecretStr) -> SecretStr:
        return checked_url(value, *_URL)
