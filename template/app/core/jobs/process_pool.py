"""Process pool that runs jobs beside the process that serves requests."""

import asyncio
import atexit
import json
from collections.abc import Sequence
from contextlib import suppress
from ctypes import c_double
from multiprocessing import connection, get_context
from multiprocessing.sharedctypes import RawValue
from random import sample
from threading import Lock
from time import monotonic
from typing import Any

import structlog
from anyio import CapacityLimiter, move_on_after, to_thread
from structlog.contextvars import bound_contextvars

# {% if database == "postgresql" %}
from app.core.database.budget import serving_share
# {% endif %}
from app.core.database.engine import Database
from app.core.errors import Unavailable
from app.core.jobs import lease
from app.core.jobs.child_process import Outcome, serve
from app.core.jobs.lease import Change, ClaimLost
from app.core.jobs.model import Job, JobRunner, Task
# {% if database == "postgresql" %}
from app.core.resources import ConnectionShare
# {% endif %}
from app.settings import Settings

log = structlog.get_logger()

# A forked child of a process with threads may deadlock.
_SPAWN = get_context("spawn")
# At this interval, the pool looks for queued jobs and renews the leases of its own.
_BEAT_SECONDS = 1.0
_CLOSE_SECONDS = 5.0


class JobTooLong(Exception):
    """Raised when a job exceeds its time limit."""


class ProcessDied(Exception):
    """Raised when the process of a job exits or is killed before the job ends."""


class _Slot:
    """Process for one job at a time; unlike in a ProcessPoolExecutor, a crash ends only one job."""

    def __init__(self, settings: Settings) -> None:
        self.progress: c_double = RawValue(c_double)
        self._max_bytes = settings.job_result_max_bytes
        self._lock = Lock()
        self._taken = False
        self._process: Any = None
        self._pipe: Any = None

    def take(self) -> None:
        """Reserve the slot for a job, until `kill` ends the reservation."""
        self.progress.value = 0.0
        self._taken = True

    def do(self, task: Task[Any], job: Job) -> Outcome:
        """Run a job in the process, without a time limit; raises ProcessDied."""
        process, pipe = self._start()
        try:
            pipe.send((task.run, job.inputs, self._max_bytes))
            # The pipe alone is not enough, because a grandchild may hold its other end open.
            connection.wait([pipe, process.sentinel])
            if pipe.poll():
                outcome: Outcome = pipe.recv()
                return outcome
        except (EOFError, OSError):
            pass
        self._discard(process, pipe)
        raise ProcessDied

    def _start(self) -> tuple[Any, Any]:
        with self._lock:
            if not self._taken:
                raise ProcessDied
            if self._process is None or not self._process.is_alive():
                self._pipe, theirs = _SPAWN.Pipe()
                process = _SPAWN.Process(target=serve, args=(theirs, self.progress))
                try:
                    process.start()
                except OSError as error:
                    raise ProcessDied from error
                theirs.close()
                self._process = process
            return self._process, self._pipe

    def _discard(self, process: Any, pipe: Any) -> None:
        with self._lock:
            self._process = None
        process.kill()
        process.join()
        process.close()
        pipe.close()

    def kill(self) -> None:
        """Kill the process; the next job starts a new one."""
        with self._lock:
            self._taken = False
            if self._process is not None:
                self._process.kill()


class ProcessPool(JobRunner):
    """Job runner that claims a job for each of its idle processes."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        # Jobs have their own connections: jobs and requests never wait for each other's.
        self._database = Database(settings.model_copy(update={"database_pool_size": 1}))
        self._slots = [_Slot(settings) for _ in range(settings.process_pool_size)]
        self._idle = list(self._slots)
        self._running: dict[asyncio.Task[None], Job] = {}
        self._woken = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._serving: asyncio.Task[None] | None = None
        self._stopping = False
        self._next_sweep = 0.0
        # Jobs have their own threads: busy routes must not delay jobs or heartbeats.
        self._job_threads = CapacityLimiter(max(1, settings.process_pool_size))
        # {% if sqlalchemy == "sync" %}
        self._database_threads = CapacityLimiter(2)
        # {% endif %}

    # {% if database == "postgresql" %}
    @classmethod
    def connection_shares(cls, settings: Settings) -> list[ConnectionShare]:
        """Return two connections for each serving process: to claim jobs, and to renew leases."""
        return [serving_share(settings, "jobs", 2)]

    # {% endif %}
    async def open(self) -> None:
        """Start claiming jobs, unless PROCESS_POOL_SIZE is 0."""
        if self._slots:
            # After a forced exit without `close`, Python would wait for the child processes.
            atexit.register(self._kill)
            self._serving = asyncio.create_task(self._serve())

    async def check(self) -> None:
        """Return without an error: the pool replaces a process that dies."""

    def notify(self) -> None:
        """Look for jobs now."""
        self._loop.call_soon_threadsafe(self._woken.set)

    async def close(self) -> None:
        """Stop the processes, and release their jobs for other replicas or for the next start."""
        self._stopping = True
        self._woken.set()
        if self._serving:
            await asyncio.wait([self._serving])
        unfinished = dict(self._running)
        for task in unfinished:
            task.cancel()
        if unfinished:
            await asyncio.wait(unfinished)
        await to_thread.run_sync(self._kill)
        atexit.unregister(self._kill)
        with move_on_after(_CLOSE_SECONDS), suppress(Unavailable):
            for job in unfinished.values():
                await self._apply(lease.release(job))
        await self._database.close()

    def _kill(self) -> None:
        for slot in self._slots:
            slot.kill()

    async def _serve(self) -> None:
        while not self._stopping:
            try:
                await self._sweep()
                while self._idle and not self._stopping and await self._begin_next():
                    pass
            except Unavailable:
                # No runner could renew a lease during the outage: sweep only after they had time.
                self._next_sweep = monotonic() + self.settings.job_lease_seconds
            except Exception:
                log.exception("jobs_not_claimed")
            with move_on_after(_BEAT_SECONDS):
                await self._woken.wait()
            self._woken.clear()

    async def _sweep(self) -> None:
        if monotonic() >= self._next_sweep:
            self._next_sweep = monotonic() + self.settings.job_sweep_seconds
            for task in Task.registry:
                if found := await self._apply(lease.sweep(task.kind, self.settings)):
                    log.warning("jobs_lost", kind=task.name, count=len(found))

    async def _begin_next(self) -> bool:
        # A random order keeps one kind of job from starving the others.
        for task in sample(Task.registry, len(Task.registry)):
            for job in await self._apply(lease.claim(task.kind, self.settings)):
                running = asyncio.create_task(self._run(self._idle.pop(), task, job))
                self._running[running] = job
                running.add_done_callback(self._running.pop)
                return True
        return False

    async def _run(self, slot: _Slot, task: Task[Any], job: Job) -> None:
        names = {"request_id": job.request_id, "job_id": str(job.id)}
        with bound_contextvars(**names):
            log.info("job_started", kind=task.name, attempt=job.attempts)
            try:
                await self._record(await self._outcome(slot, task, job))
                log.info("job_ended")
            except ClaimLost:
                log.info("job_lease_lost")
            except Exception:
                log.exception("job_result_not_stored")
            finally:
                self._idle.append(slot)
                self._woken.set()

    async def _outcome(self, slot: _Slot, task: Task[Any], job: Job) -> Change:
        """Run a job and return the statement that ends its lease; raises ClaimLost."""
        slot.take()
        work = asyncio.create_task(
            to_thread.run_sync(slot.do, task, job, limiter=self._job_threads)
        )
        try:
            await self._attend(work, slot, job)
        except JobTooLong:
            log.warning("job_too_long")
            return lease.fail(job, "Timed out: use smaller inputs.")
        finally:
            if not work.done():
                slot.kill()
                await asyncio.wait([work])
                work.exception()
        try:
            result, error = work.result()
        except ProcessDied:
            log.warning("job_process_died")
            return lease.requeue(job, self.settings)
        if result is None:
            log.error("job_failed", error=error)
            return lease.fail(job, "Internal server error.")
        return lease.succeed(job, json.loads(result))

    async def _attend(self, work: asyncio.Task[Outcome], slot: _Slot, job: Job) -> None:
        """Renew the lease until the job ends; raises ClaimLost, JobTooLong."""
        deadline = monotonic() + self.settings.job_time_limit_seconds
        while not work.done():
            await asyncio.wait([work], timeout=_BEAT_SECONDS)
            if monotonic() > deadline and not work.done():
                raise JobTooLong
            with suppress(Unavailable):
                change = lease.renew(job, slot.progress.value, self.settings)
                if not work.done() and not await self._apply(change):
                    raise ClaimLost

    async def _record(self, outcome: Change) -> None:
        while True:
            try:
                if not await self._apply(outcome):
                    raise ClaimLost
                return
            except Unavailable:
                await asyncio.sleep(_BEAT_SECONDS)

# {% if sqlalchemy == "sync" %}
    async def _apply(self, change: Change) -> Sequence[Any]:
        return await to_thread.run_sync(self._execute, change, limiter=self._database_threads)

    def _execute(self, change: Change) -> Sequence[Any]:
        with self._database.write() as session:
            return session.scalars(change).all()
# {% else %}
    async def _apply(self, change: Change) -> Sequence[Any]:
        async with self._database.write() as session:
            rows = await session.scalars(change)
            return rows.all()
# {% endif %}
