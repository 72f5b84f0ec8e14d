"""Celery configuration, and the thread that wakes the workers."""

from threading import Semaphore, Thread

import structlog
from anyio import to_thread
from celery import Celery
from kombu import Queue

from app.core.jobs.model import JobRunner
# {% if database == "postgresql" %}
from app.core.resources import ConnectionShare
from app.core.serving.cpus import CPUS
# {% endif %}
from app.settings import Settings

log = structlog.get_logger()

RUN = "jobs.run"
SWEEP = "jobs.sweep"

# The thread retries a failed broker at the first interval; `close` waits for at most the second.
_RETRY_SECONDS = 5.0
_CLOSE_SECONDS = 2.0
# By default Celery retries for a long time, and forever if the broker does not respond.
_ONE_RETRY = {"max_retries": 1, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.2}


class BrokerUnavailable(Exception):
    """Raised when the broker did not accept the last message."""


def build_celery(settings: Settings) -> Celery:
    """Return the Celery application with its settings, for workers and for the service."""
    kill_seconds = settings.job_time_limit_seconds + settings.job_kill_seconds
    runs, sweeps = f"{settings.broker_prefix}.jobs", f"{settings.broker_prefix}.sweeps"
    celery = Celery(settings.broker_prefix)
    celery.conf.update(
        accept_content=["json"],
        # The schedule stays in memory: beat would only store the time of the last sweep.
        beat_scheduler="celery.beat:Scheduler",
        beat_schedule={
            "sweep": {
                "task": SWEEP,
                "schedule": settings.job_sweep_seconds,
                "options": {"expires": settings.job_sweep_seconds},
            }
        },
        broker_connection_retry_on_startup=True,
        broker_connection_timeout=1,
        broker_transport_options={
            **_ONE_RETRY,
            "socket_connect_timeout": 1,
            "socket_timeout": 5,
            # The broker redelivers a lost worker's message, but not while the job may still run.
            "visibility_timeout": kill_seconds + 60,
        },
        broker_url=settings.broker_url.get_secret_value(),
        # Messages are wake-ups, which may repeat: workers acknowledge them after the job.
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_default_queue=runs,
        task_ignore_result=True,
        task_publish_retry_policy=_ONE_RETRY,
        task_queues=[Queue(runs, routing_key=runs), Queue(sweeps, routing_key=sweeps)],
        task_routes={SWEEP: {"queue": sweeps, "routing_key": sweeps}},
        task_soft_time_limit=settings.job_time_limit_seconds,
        task_time_limit=kill_seconds,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_concurrency=settings.worker_concurrency,
        worker_hijack_root_logger=False,
        worker_max_tasks_per_child=settings.worker_jobs_per_process,
        # A message that one worker reserved would wait although another worker is idle.
        worker_prefetch_multiplier=1,
        worker_redirect_stdouts=False,
    )
    return celery


class CeleryQueue(JobRunner):
    """Job runner that wakes workers from its own thread: requests never wait for the broker."""

    # Jobs stay queued in the database while the broker is unavailable.
    optional = True

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._celery = build_celery(settings)
        self._wakes = Semaphore(0)
        self._thread = Thread(target=self._serve, daemon=True)
        self._up = True
        self._closing = False

    # {% if database == "postgresql" %}
    @classmethod
    def connection_shares(cls, settings: Settings) -> list[ConnectionShare]:
        """Return two connections for each worker process: one is for the heartbeat."""
        processes = settings.worker_concurrency
        if processes == "auto":
            processes = CPUS
        return [ConnectionShare("jobs", settings.worker_replicas, processes, 2)]

    # {% endif %}
    async def open(self) -> None:
        """Start the thread; its first message, without a job, opens the connection."""
        self._thread.start()
        self.notify()

    async def check(self) -> None:
        """Raise BrokerUnavailable while messages fail."""
        if not self._up:
            raise BrokerUnavailable

    def notify(self) -> None:
        """Wake a worker; after a failure, the sweep does so once the broker is available."""
        self._wakes.release()

    async def close(self) -> None:
        """Stop the thread, waiting for at most `_CLOSE_SECONDS`."""
        self._closing = True
        self.notify()
        if self._thread.is_alive():
            await to_thread.run_sync(self._thread.join, _CLOSE_SECONDS)

    def _serve(self) -> None:
        while not self._closing:
            # A failed broker is retried without a new job, which may be hours away.
            self._wakes.acquire(timeout=None if self._up else _RETRY_SECONDS)
            self._send()
        self._celery.close()

    def _send(self) -> None:
        try:
            self._celery.send_task(RUN)
        except Exception as error:
            if self._up:
                log.warning("broker_unavailable", error=str(error))
            self._up = False
            while self._wakes.acquire(blocking=False):
                pass
        else:
            if not self._up:
                log.info("broker_available")
            self._up = True
