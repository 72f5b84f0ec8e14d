"""Every setting of the service, read from the environment and from `.env`."""

import re
from ipaddress import ip_network
from typing import Annotated, Any, Literal, Self
# {% if redis_cache %}
from urllib.parse import parse_qs, urlsplit
# {% else %}
from urllib.parse import urlsplit
# {% endif %}

from pydantic import (
    # {% if database == "postgresql" %}
    AfterValidator,
    # {% endif %}
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
# {% if redis_cache %}
from redis import ConnectionPool
# {% endif %}
# {% if database == "postgresql" or (server == "gunicorn" and gunicorn_workers == "auto") %}

# {% endif %}
# {% if database == "postgresql" %}
from app.budget import pool_size, within_budget
# {% endif %}
# {% if server == "gunicorn" and gunicorn_workers == "auto" %}
from app.cpus import available_cpus
# {% endif %}

DEVELOPMENT_SECRET = "development-only: never sign a token of a real service with it"  # noqa: S105
# What HS256 signs with has to be as long as what it makes.
_MIN_SECRET_BYTES = 32

# What is left of a stop for requests under way, and for the resources to close.
_MIN_GRACE_SECONDS = 5

# How the URLs of servers begin, and how they are written.
_FORMS = {
    # {% if database == "sqlite" %}
    "database_url": ("sqlite:///", "sqlite:///folder/file.db"),
    # {% endif %}
    # {% if database == "postgresql" %}
    "database_url": ("postgres(ql)?://", "postgresql://user:password@host:5432/name"),
    # {% endif %}
    # {% if cpu_jobs == "celery" %}
    "broker_url": ("(amqps?|rediss?)://", "redis://host:6379/0 or amqp://host:5672//"),
    # {% endif %}
}


def _blocked_seconds(data: dict[str, Any]) -> float:
    return 0.1 if data["environment"] == "development" else 1


class SettingsError(Exception):
    """The service cannot start as it is configured; the message says what to change."""


class Settings(BaseSettings):
    """What `.env.example` documents, checked once, at start."""

    model_config = SettingsConfigDict(
        allow_inf_nan=False,
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
    )

    # Production unless told otherwise: a forgotten variable must not open a service up.
    environment: Literal["development", "production"] = "production"
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)
    # {% if server == "gunicorn" %}
    # Processes that serve; by default the CPUs of the container, but not more than four.
    # {% endif %}
    # {% if server == "gunicorn" and gunicorn_workers == "auto" %}
    web_concurrency: int = Field(default_factory=lambda: min(available_cpus(), 4), ge=1)
    # {% endif %}
    # {% if server == "gunicorn" and gunicorn_workers != "auto" %}
    web_concurrency: int = Field(default={{ gunicorn_workers }}, ge=1)
    # {% endif %}
    # {% if server == "gunicorn" %}
    # A process whose event loop is blocked for longer is replaced.
    gunicorn_timeout_seconds: int = Field(default={{ gunicorn_timeout }}, ge=2)
    # A process is replaced after so many requests, and up to the jitter more; 0: never.
    gunicorn_max_requests: int = Field(default={{ gunicorn_max_requests }}, ge=0)
    gunicorn_max_requests_jitter: int = Field(default={{ gunicorn_max_requests_jitter }}, ge=0)
    # {% endif %}
    # Longer than the proxy in front keeps an idle connection: it would use one that is closed.
    keep_alive_seconds: int = Field(default={{ gunicorn_keep_alive }}, ge=1)
    # How long it serves on, but is not ready, when it is told to stop: proxies have to notice.
    shutdown_delay_seconds: float = Field(default=5, ge=0)
    # From then to its end; less than whoever stops it waits before it kills.
    graceful_timeout_seconds: float = Field(default={{ gunicorn_graceful_timeout }}, ge=5)
    # Addresses or networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed.
    forwarded_allow_ips: Annotated[tuple[str, ...], NoDecode] = ()
    # An event loop that does nothing else for longer is logged, and where it is.
    event_loop_blocked_seconds: float = Field(default_factory=_blocked_seconds, gt=0)
    # The interactive documentation and /openapi.json; without an answer, in development only.
    docs: bool | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    max_body_bytes: int = Field(default=1_000_000, ge=1_000)

    secret_key: SecretStr = SecretStr(DEVELOPMENT_SECRET)
    access_token_seconds: int = Field(default=1_800, ge=60, le=86_400)
    # OWASP's and argon2's own advice; the memory is held by each hash that is being computed.
    password_hash_memory_kib: int = Field(default=65_536, ge=32)
    password_hash_concurrency: int = Field(default=4, ge=1)
    password_hash_wait_seconds: float = Field(default=5, gt=0)
    sign_in_attempts_per_address: int = Field(default=10, ge=1)
    # Many people may share one address of the network.
    sign_in_attempts_per_client: int = Field(default=100, ge=1)
    sign_in_window_seconds: int = Field(default=300, ge=1)

    database_url: SecretStr
    database_pool_timeout_seconds: float = Field(default=5, gt=0)
# {% if database == "postgresql" %}
    # Whether a PgBouncer that lends connections for a transaction is between.
    database_pgbouncer: bool = False
    # Below what firewalls and proxies allow an idle connection.
    database_pool_recycle_seconds: int = Field(default=1_800, ge=1)
    database_connect_timeout_seconds: int = Field(default=2, ge=2)
    database_statement_timeout_seconds: float = Field(default=5, gt=0)
# {% else %}
    # How long a writer waits for the one that holds the file.
    database_busy_timeout_seconds: float = Field(default=5, gt=0)
# {% endif %}
    # How long the start waits for a database that is starting too; then the service is unready.
    database_start_timeout_seconds: float = Field(default=10, ge=0)
    readiness_timeout_seconds: float = Field(default=1, gt=0)
# {% if redis_cache %}

    redis_url: SecretStr
    # Few: a command holds a connection for a fraction of a millisecond.
    redis_pool_size: int = Field(default=20, ge=1)
    # For a connection of the pool, a new one, an answer: then the database is asked.
    redis_timeout_seconds: float = Field(default=0.25, gt=0)
    # A server that never answers sooner is no help.
    redis_slow_seconds: float = Field(default=0.05, gt=0)
    # How often it is asked whether it is well.
    redis_probe_seconds: float = Field(default=0.5, gt=0)
    # Names of keys begin with it: services that share a server must differ.
    cache_prefix: str = Field(default="{{ project_slug }}", pattern="^[a-z0-9_.:-]+$")
    # Also how long a value may stay when nobody is left who could delete it.
    cache_ttl_seconds: int = Field(default=60, ge=1)
# {% endif %}
# {% if cpu_jobs != "none" %}

    # Jobs that wait: of one caller, and in all.
    jobs_waiting_per_caller: int = Field(default=10, ge=1)
    jobs_waiting: int = Field(default=1_000, ge=1)
    idempotency_key_seconds: int = Field(default=86_400, ge=0)
    # How often a job is begun whose process dies; how long without a sign of life it is believed.
    job_attempts: int = Field(default=3, ge=1)
    job_lease_seconds: float = Field(default=10, ge=2)
    # How often such jobs are looked for.
    job_sweep_seconds: float = Field(default=5, gt=0, le=30)
    job_time_limit_seconds: float = Field(default=600, gt=0)
    job_result_max_bytes: int = Field(default=65_536, ge=1_000)
# {% endif %}
# {% if cpu_jobs == "process_pool" %}
    # Of each process that serves; none: others run the jobs. Leave requests a core.
    process_pool_size: int = Field(default=1, ge=0)
# {% elif cpu_jobs == "celery" %}
    # Between the time limit and this one a job may still tidy up; then its process is killed.
    job_kill_seconds: float = Field(default=30, gt=0)
    broker_url: SecretStr
    broker_prefix: str = Field(default="{{ project_slug }}", pattern="^[a-z0-9_.:-]+$")
    # Worker processes: all that the container's quota of CPU allows, or a number.
    worker_concurrency: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    # A process is replaced after so many: what it leaks ends with it.
    worker_jobs_per_process: int = Field(default=1_000, ge=1)
    # How long a worker that is told to stop goes on with what it has begun.
    worker_stop_seconds: float = Field(default=20, ge=0)
# {% endif %}
    # {% if database == "postgresql" %}

    # Containers or machines that serve, and all connections that they may have together.
    replicas: int = Field(default=1, ge=1)
    # {% endif %}
    # {% if database == "postgresql" and cpu_jobs == "celery" %}
    worker_replicas: int = Field(default=1, ge=0)
    # {% endif %}
    # {% if database == "postgresql" %}
    database_connection_budget: int | None = Field(default=None, ge=1)
    # {% endif %}
    # Of each process that serves.
    # {% if database == "postgresql" %}
    database_pool_size: Annotated[int, AfterValidator(within_budget)] = Field(
        default_factory=pool_size, ge=1, validate_default=True
    )
    # {% endif %}
    # {% if database == "sqlite" %}
    database_pool_size: int = Field(default=10, ge=1)
    # {% endif %}
    # {% if sqlalchemy == "sync" %}
    # Routes run in these; those that use the database never outnumber its connections.
    # Thirty are left for others.
    threadpool_size: int = Field(default_factory=lambda data: data["database_pool_size"] + 30)
    # {% endif %}
    # Your own.

    @property
    def show_docs(self) -> bool:
        """Whether the interactive documentation is served."""
        return self.environment == "development" if self.docs is None else self.docs

    @field_validator("cors_origins", "forwarded_allow_ips", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("forwarded_allow_ips")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            try:
                ip_network(network)
            except ValueError:
                raise ValueError(
                    f"{network} is no address or network: name the proxies', as in 10.0.0.0/8"
                ) from None
        return value

    @field_validator(*_FORMS)
    @classmethod
    def _known_scheme(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        scheme, form = _FORMS[str(info.field_name)]
        try:
            known = re.match(scheme, value.get_secret_value())
            urlsplit(value.get_secret_value()).port  # noqa: B018 - no number is an error
        except ValueError:
            known = None
        if not known:
            raise ValueError(f"write it as {form}")
        return value

# {% if redis_cache %}
    @field_validator("redis_url")
    @classmethod
    def _known_server(cls, value: SecretStr) -> SecretStr:
        url = value.get_secret_value()
        # Others would change what is waited for, or what comes back.
        for name in parse_qs(urlsplit(url).query):
            if name != "db" and not name.startswith("ssl_"):
                raise ValueError(f"leave out {name}")
        try:
            ConnectionPool.from_url(url)
        except ValueError:
            raise ValueError("write it as redis://user:password@host:6379/0") from None
        return value

# {% endif %}
    @field_validator("secret_key")
    @classmethod
    def _long_secret(cls, value: SecretStr) -> SecretStr:
        if len(value.get_secret_value().encode()) < _MIN_SECRET_BYTES:
            raise ValueError(f"use {_MIN_SECRET_BYTES} bytes or more: `openssl rand -base64 48`")
        return value

# {% if sqlalchemy == "sync" %}
    @model_validator(mode="after")
    def _threads_to_spare(self) -> Self:
        if self.threadpool_size <= self.database_pool_size:
            raise ValueError(
                "THREADPOOL_SIZE is not above DATABASE_POOL_SIZE: routes that need no connection "
                "would wait for one; leave it out, or add 30"
            )
        return self

# {% endif %}
    @model_validator(mode="after")
    def _time_to_stop(self) -> Self:
        if self.graceful_timeout_seconds < self.shutdown_delay_seconds + _MIN_GRACE_SECONDS:
            raise ValueError(
                "GRACEFUL_TIMEOUT_SECONDS leaves requests no time: let it be "
                f"{_MIN_GRACE_SECONDS} more than SHUTDOWN_DELAY_SECONDS"
            )
        return self

    @model_validator(mode="after")
    def _safe_in_production(self) -> Self:
        if self.environment == "production":
            if self.secret_key.get_secret_value() == DEVELOPMENT_SECRET:
                raise ValueError(
                    "SECRET_KEY is not set: set it to what `openssl rand -base64 48` prints, "
                    "or set ENVIRONMENT=development to work on the service"
                )
            if "*" in self.cors_origins:
                raise ValueError("CORS_ORIGINS is *: name the origins, separated by commas")
        return self


def load_settings() -> Settings:
    """Read the settings; raises SettingsError with a sentence for each that is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        # Not the original: it prints what it was given, secrets included.
        wrong = [each for each in error.errors() if each["type"] != "default_factory_not_called"]
        raise SettingsError("; ".join(map(_sentence, wrong))) from None


def _sentence(error: ErrorDetails) -> str:
    message = error["msg"].removeprefix("Value error, ")
    if not error["loc"]:
        return message
    name = str(error["loc"][0]).upper()
    if error["type"] == "missing":
        return f"{name} is not set: .env.example shows its form"
    return f"{name} is not valid: {message[:1].lower()}{message[1:]}"
