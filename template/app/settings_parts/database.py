"""Settings of the database."""

from pydantic import Field, SecretStr, field_validator

from app.settings_parts.common import CommonSettings, checked_url

# How its URL begins, and how it is written.
# {% if database == "postgresql" %}
_URL = ("postgres(ql)?://", "postgresql://user:password@host:5432/name")
# {% else %}
_URL = ("sqlite:///", "sqlite:///folder/file.db")
# {% endif %}


class DatabaseSettings(CommonSettings):
    """Where the database is, how long it is waited for, and by how many connections."""

    database_url: SecretStr
    # How long a request waits for a connection of the pool.
    database_pool_timeout_seconds: float = Field(default=5, gt=0)
    # {% if database == "postgresql" %}
    # Whether a PgBouncer that lends connections for a transaction is between.
    database_pgbouncer: bool = False
    # Below what firewalls and proxies allow an idle connection.
    database_pool_recycle_seconds: int = Field(default=1_800, ge=1)
    database_connect_timeout_seconds: int = Field(default=2, ge=2)
    database_statement_timeout_seconds: float = Field(default=5, gt=0)
    # Containers or machines that serve, and all connections that they may have together.
    replicas: int = Field(default=1, ge=1)
    # {% if cpu_jobs == "celery" %}
    # Those that run jobs.
    worker_replicas: int = Field(default=1, ge=0)
    # {% endif %}
    database_connection_budget: int | None = Field(default=None, ge=1)
    # {% else %}
    # How long a writer waits for the one that holds the file.
    database_busy_timeout_seconds: float = Field(default=5, gt=0)
    # {% endif %}
    # How long the start waits for a database that is starting too; then the service is unready.
    database_start_timeout_seconds: float = Field(default=10, ge=0)
    readiness_timeout_seconds: float = Field(default=1, gt=0)
    # Of each process that serves; without an answer, what a budget leaves it.
    database_pool_size: int = Field(default=10, ge=1)

    @field_validator("database_url")
    @classmethod
    def _url_of_database(cls, value: SecretStr) -> SecretStr:
        return checked_url(value, *_URL)
