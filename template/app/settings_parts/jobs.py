"""Settings of jobs."""

# {% if cpu_jobs == "celery" %}
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator

from app.settings_parts.common import CommonSettings, checked_url
# {% else %}
from pydantic import Field

from app.settings_parts.common import CommonSettings
# {% endif %}


class JobSettings(CommonSettings):
    """Limits, leases and processes of jobs."""

    # Queued jobs of one caller before 429, and of all callers before 503.
    jobs_waiting_per_caller: int = Field(default=10, ge=1)
    jobs_waiting: int = Field(default=1_000, ge=1)
    idempotency_key_seconds: int = Field(default=86_400, ge=0)
    # Attempts at a job whose process dies; seconds until its lease expires without a heartbeat.
    job_attempts: int = Field(default=3, ge=1)
    job_lease_seconds: float = Field(default=10, ge=2)
    # Interval between searches for expired leases.
    job_sweep_seconds: float = Field(default=5, gt=0, le=30)
    job_time_limit_seconds: float = Field(default=600, gt=0)
    job_result_max_bytes: int = Field(default=65_536, ge=1_000)
    # {% if cpu_jobs == "celery" %}
    # Time after the time limit in which a job can clean up before its process is killed.
    job_kill_seconds: float = Field(default=30, gt=0)
    broker_url: SecretStr
    broker_prefix: str = Field(default="{{ project_slug }}", pattern="^[a-z0-9_.:-]+$")
    # Processes of one worker; auto: one per CPU of the container.
    worker_concurrency: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    # A process is replaced after this many jobs, which frees leaked memory.
    worker_jobs_per_process: int = Field(default=1_000, ge=1)
    # Seconds from SIGTERM until a worker requeues its running jobs.
    worker_stop_seconds: float = Field(default=20, ge=0)

    @field_validator("broker_url")
    @classmethod
    def _redis_or_rabbitmq(cls, value: SecretStr) -> SecretStr:
        form = "redis://host:6379/0 or amqp://host:5672//"
        return checked_url(value, "(amqps?|rediss?)://", form)
    # {% else %}
    # Job processes per server process; 0: other replicas run the jobs. Leave a core for requests.
    process_pool_size: int = Field(default=1, ge=0)
    # {% endif %}
