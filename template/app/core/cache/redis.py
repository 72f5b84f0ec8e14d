# {% from "includes/unasync.jinja" import unasync with context %}
"""Redis: a pool of connections with short limits, and a circuit that is open while it is away."""

# {% call unasync() %}
import asyncio
from collections.abc import AsyncIterator, Set
from contextlib import asynccontextmanager
from math import ceil, inf
# {% if sqlalchemy == "sync" %}
from threading import Lock, Semaphore
# {% else %}
from threading import Lock
# {% endif %}
from time import monotonic

import structlog
# {% if sqlalchemy == "sync" %}
from anyio import CancelScope, CapacityLimiter, to_thread
# {% else %}
from anyio import CancelScope, Semaphore
# {% endif %}
from redis.asyncio import BlockingConnectionPool, Redis
# {% if sqlalchemy == "async" %}
from redis.asyncio.retry import Retry
# {% endif %}
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as Disconnected
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as TimedOut
# {% if sqlalchemy == "sync" %}
from redis.retry import Retry
# {% endif %}

from app.core.resources import Resource
from app.settings import Settings

log = structlog.get_logger()

# What a server that is down, frozen, full or read-only makes of a command.
FAILURES = (RedisError, OSError)
_TRIES = 3
# How soon after a failure it is asked again, and told what it was not.
_RETRY_SECONDS = 0.1


class RedisUnavailable(RedisError):
    """It failed lately, and is asked nothing but whether it is well."""


class RedisServer(Resource):
    """A server that the service can do without: what fails is not asked again for a moment."""

    optional = True

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        seconds = settings.redis_timeout_seconds
        pool = BlockingConnectionPool.from_url(
            settings.redis_url.get_secret_value(),
            # One is for the probe.
            max_connections=settings.redis_pool_size + 1,
            timeout=seconds,
            socket_connect_timeout=seconds,
            socket_timeout=seconds,
            # One that was dropped while it was idle says so when it is used. Once, and at once.
            retry=Retry(NoBackoff(), 1, (Disconnected,)),
        )
        self.client = Redis.from_pool(pool)
        # Who waits for a connection is told when the circuit opens; the pool would not tell.
        self._slots = Semaphore(settings.redis_pool_size)
        # Whether to read from it, and whether to write to it: it is written to until there is no
        # hope, for others may still read what should have been deleted.
        self.up = True
        self._reachable = True
        # None while it fails. Before it is read from again it has to be well for as long as any
        # other process, which may have noticed later, needs to delete what it could not.
        self._healthy_since: float | None = 0.0
        self._settle_seconds = 2 * settings.redis_probe_seconds + 2 * seconds
        self._probe_name = f"{settings.cache_prefix}:probe"
        # Names that have to be deleted, and when each will have expired by itself.
        self._pending_deletes: dict[str, float] = {}
        self._lock = Lock()
        self._watching: asyncio.Task[None] | None = None
        self._watch_scope = CancelScope()
        self._ticked = monotonic()
        self._late_seconds = 0.0
# {% if sqlalchemy == "sync" %}
        # Not the threads of the routes: who is busy has to notice too.
        self._threads = CapacityLimiter(1)
# {% endif %}

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Redis]:
        """The client, for a command; raises FAILURES, at once while the circuit is open."""
        async with self._slots:
            if not self.up:
                raise RedisUnavailable
            try:
                yield self.client
            except FAILURES as error:
                self._fail(error)
                raise

    async def delete(self, names: Set[str], *, expires_seconds: float) -> None:
        """Delete them now, or else before anything is read again, unless they will have expired."""
        deleted = False
        try:
            # Once more before it is put off: until then, others may read them.
            deleted = await self._unlink(names) or await self._unlink(names)
        finally:
            # Also when the request was cancelled meanwhile.
            if not deleted:
                self.delete_soon(names, expires_seconds=expires_seconds)

    def delete_soon(self, names: Set[str], *, expires_seconds: float) -> None:
        """Have them deleted without waiting for it."""
        with self._lock:
            self._pending_deletes |= dict.fromkeys(names, monotonic() + expires_seconds)

    async def _unlink(self, names: Set[str]) -> bool:
        async with self._slots:
            if self._reachable:
                try:
                    await self.client.unlink(*names)
                except FAILURES as error:
                    self._fail(error)
                else:
                    return True
        return False

    def _fail(self, error: Exception) -> None:
        # If we are late ourselves, or were a moment ago, it may have answered in time.
        late_seconds = max(monotonic() - self._ticked - _RETRY_SECONDS, self._late_seconds)
        is_ours = isinstance(error, TimedOut) and late_seconds > _RETRY_SECONDS
        # One that answers is there. Whether it is of use, the probe finds out.
        if not is_ours and not isinstance(error, ResponseError):
            self._open_circuit(error)

    def _open_circuit(self, error: Exception) -> None:
        with self._lock:
            was_up, self.up, self._healthy_since = self.up, False, None
        if was_up:
            log.warning("redis_unavailable", error=str(error))

    async def _probe(self) -> None:
        try:
            await self._delete_owed()
            took_seconds = await self._time()
        except FAILURES as error:
            self._open_circuit(error)
            # One that refuses to store still deletes.
            self._reachable = isinstance(error, ResponseError)
            return
        self._reachable = True
        # It waits for our loop on its way there and back.
        if took_seconds - 3 * self._late_seconds > self.settings.redis_slow_seconds:
            self._open_circuit(RedisError(f"it takes {took_seconds:.3f} seconds to answer"))
        else:
            self._is_well()

    async def _delete_owed(self) -> None:
        with self._lock:
            owed, self._pending_deletes = self._pending_deletes, {}
        names = [name for name, expires in owed.items() if expires > monotonic()]
        try:
            while names:
                await self.client.unlink(*names[-1_000:])
                del names[-1_000:]
        finally:
            with self._lock:
                self._pending_deletes = {name: owed[name] for name in names} | self._pending_deletes

    async def _time(self) -> float:
        """How many seconds it takes to answer, at best: it may be us who are slow."""
        took: list[float] = []
        while len(took) < _TRIES and min(took, default=inf) > self.settings.redis_slow_seconds:
            started = monotonic()
            # A write: one that is full, or a replica, still answers questions. And in the form that
            # is needed, which came with Redis 7.
            await self.client.set(self._probe_name, b"", nx=True, get=True, px=1_000)
            took.append(monotonic() - started)
        return min(took)

    def _is_well(self) -> None:
        now = monotonic()
        with self._lock:
            if self._healthy_since is None:
                self._healthy_since = now
            healthy_seconds = now - self._healthy_since
            settled = healthy_seconds >= self._settle_seconds and not self._pending_deletes
            is_back = settled and not self.up
            self.up = self.up or settled
        if is_back:
            log.info("redis_available")

    async def _end(self) -> None:
        if self._pending_deletes:
            await self._probe()
        if self._pending_deletes:
            log.warning("redis_not_told", keys=len(self._pending_deletes))
        await self.client.aclose()
# {% endcall %}

    async def open(self) -> None:
        """Look whether it is there, and go on looking."""
        # {% if sqlalchemy == "sync" %}
        await to_thread.run_sync(self._probe)
        # {% else %}
        await self._probe()
        # {% endif %}
        self._watching = asyncio.create_task(self._watch())

    async def check(self) -> None:
        """Raise RedisUnavailable while the circuit is open."""
        if not self.up:
            raise RedisUnavailable

    async def close(self) -> None:
        """Close the connections."""
        self._watch_scope.cancel()
        if self._watching:
            await asyncio.wait([self._watching])
        # {% if sqlalchemy == "sync" %}
        await to_thread.run_sync(self._end)
        # {% else %}
        await self._end()
        # {% endif %}

    async def _watch(self) -> None:
        with self._watch_scope:
            while True:
                await self._until_due()
                try:
                    # {% if sqlalchemy == "sync" %}
                    await to_thread.run_sync(self._probe, limiter=self._threads)
                    # {% else %}
                    await self._probe()
                    # {% endif %}
                except Exception:
                    log.exception("redis_probe_failed")

    async def _until_due(self) -> None:
        for _ in range(ceil(self.settings.redis_probe_seconds / _RETRY_SECONDS)):
            self._ticked = monotonic()
            await asyncio.sleep(_RETRY_SECONDS)
            self._late_seconds = monotonic() - self._ticked - _RETRY_SECONDS
            if self._pending_deletes or not self.up:
                break
