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
    """How many jobs may wait, how long one may take, and where they run."""

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
    # {% if cpu_jobs == "celery" %}
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

    @field_validator("broker_url")
    @classmethod
    def _redis_or_rabbitmq(cls, value: SecretStr) -> SecretStr:
        form = "redis://host:6379/0 or amqp://host:5672//"
        return checked_url(value, "(amqps?|rediss?)://", form)
    # {% else %}
    # Of each process that serves; none: others run the jobs. Leave requests a core.
    process_pool_size: int = Field(default=1, ge=0)
    # {% endif %}
