# {% from "includes/unasync.jinja" import unasync with context %}
"""Redis connection pool with short timeouts, and a circuit breaker."""

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

# A command raises one of these when Redis is down, frozen, full or read-only.
FAILURES = (RedisError, OSError)
_TRIES = 3
# After a failure, the probe and the pending deletes are retried at this interval.
_RETRY_SECONDS = 0.1


class RedisUnavailable(RedisError):
    """Raised while the circuit is open: Redis failed recently, and commands are not sent."""


class RedisServer(Resource):
    """Optional Redis server behind a circuit breaker; the service also works without Redis."""

    optional = True

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        seconds = settings.redis_timeout_seconds
        pool = BlockingConnectionPool.from_url(
            settings.redis_url.get_secret_value(),
            # The probe uses the extra connection.
            max_connections=settings.redis_pool_size + 1,
            timeout=seconds,
            socket_connect_timeout=seconds,
            socket_timeout=seconds,
            # A connection dropped while idle fails at its next use: retry once, without a delay.
            retry=Retry(NoBackoff(), 1, (Disconnected,)),
        )
        self.client = Redis.from_pool(pool)
        # Commands wait here and not in the pool, which would not notice that the circuit opens.
        self._slots = Semaphore(settings.redis_pool_size)
        # `up` allows all commands, `_reachable` allows deletes. Deletes go on while the circuit is
        # open, because other processes may still read a stale value.
        self.up = True
        self._reachable = True
        # None while Redis fails. The circuit closes after Redis was healthy for `_settle_seconds`:
        # other processes may notice later, and need this time to send their pending deletes.
        self._healthy_since: float | None = 0.0
        self._settle_seconds = 2 * settings.redis_probe_seconds + 2 * seconds
        self._probe_name = f"{settings.cache_prefix}:probe"
        # Each key that has to be deleted is stored with the time when its value has expired anyway.
        self._pending_deletes: dict[str, float] = {}
        self._lock = Lock()
        self._watching: asyncio.Task[None] | None = None
        self._watch_scope = CancelScope()
        self._ticked = monotonic()
        self._late_seconds = 0.0
# {% if sqlalchemy == "sync" %}
        # The probe has its own thread, because busy routes may use all of theirs.
        self._threads = CapacityLimiter(1)
# {% endif %}

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Redis]:
        """Yield the client for a command; raises FAILURES, at once while the circuit is open."""
        async with self._slots:
            if not self.up:
                raise RedisUnavailable
            try:
                yield self.client
            except FAILURES as error:
                self._fail(error)
                raise

    async def delete(self, names: Set[str], *, expires_seconds: float) -> None:
        """Delete the keys now; after a failure, delete the unexpired ones before reads resume."""
        deleted = False
        try:
            # One retry comes before deferral: until the delete, processes may read a stale value.
            deleted = await self._unlink(names) or await self._unlink(names)
        finally:
            # A cancelled request must not lose its deletes.
            if not deleted:
                self.delete_soon(names, expires_seconds=expires_seconds)

    def delete_soon(self, names: Set[str], *, expires_seconds: float) -> None:
        """Delete the keys at the next probe, without waiting."""
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
        # While our own event loop is late, a timeout proves nothing: Redis may have been fast.
        late_seconds = max(monotonic() - self._ticked - _RETRY_SECONDS, self._late_seconds)
        loop_was_late = isinstance(error, TimedOut) and late_seconds > _RETRY_SECONDS
        # A server that responds with an error is reachable; the probe decides about the circuit.
        if not loop_was_late and not isinstance(error, ResponseError):
            self._open_circuit(error)

    def _open_circuit(self, error: Exception) -> None:
        with self._lock:
            was_up, self.up, self._healthy_since = self.up, False, None
        if was_up:
            log.warning("redis_unavailable", error=str(error))

    async def _probe(self) -> None:
        try:
            await self._send_pending_deletes()
            took_seconds = await self._measure()
        except FAILURES as error:
            self._open_circuit(error)
            # A full server refuses to store, but still deletes.
            self._reachable = isinstance(error, ResponseError)
            return
        self._reachable = True
        # Part of this time may be the delay of our own event loop.
        if took_seconds - 3 * self._late_seconds > self.settings.redis_slow_seconds:
            self._open_circuit(RedisError(f"Redis took {took_seconds:.3f} seconds to respond"))
        else:
            self._mark_healthy()

    async def _send_pending_deletes(self) -> None:
        with self._lock:
            due, self._pending_deletes = self._pending_deletes, {}
        names = [name for name, expires in due.items() if expires > monotonic()]
        try:
            while names:
                await self.client.unlink(*names[-1_000:])
                del names[-1_000:]
        finally:
            with self._lock:
                self._pending_deletes = {name: due[name] for name in names} | self._pending_deletes

    async def _measure(self) -> float:
        """Return the shortest response time of a few tries, as this process may cause delays."""
        took: list[float] = []
        while len(took) < _TRIES and min(took, default=inf) > self.settings.redis_slow_seconds:
            started = monotonic()
            # The probe writes, because a full server and a replica still respond to reads. SET with
            # NX and GET, which the cache needs, came with Redis 7.
            await self.client.set(self._probe_name, b"", nx=True, get=True, px=1_000)
            took.append(monotonic() - started)
        return min(took)

    def _mark_healthy(self) -> None:
        now = monotonic()
        with self._lock:
            if self._healthy_since is None:
                self._healthy_since = now
            healthy_seconds = now - self._healthy_since
            settled = healthy_seconds >= self._settle_seconds and not self._pending_deletes
            recovered = settled and not self.up
            self.up = self.up or settled
        if recovered:
            log.info("redis_available")

    async def _disconnect(self) -> None:
        if self._pending_deletes:
            await self._probe()
        if self._pending_deletes:
            log.warning("redis_deletes_not_sent", keys=len(self._pending_deletes))
        await self.client.aclose()
# {% endcall %}

    async def open(self) -> None:
        """Probe Redis once, and start the periodic probe."""
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
        """Stop the probe, send the pending deletes and close the connections."""
        self._watch_scope.cancel()
        if self._watching:
            await asyncio.wait([self._watching])
        # {% if sqlalchemy == "sync" %}
        await to_thread.run_sync(self._disconnect)
        # {% else %}
        await self._disconnect()
        # {% endif %}

    async def _watch(self) -> None:
        with self._watch_scope:
            while True:
                await self._wait_until_due()
                try:
                    # {% if sqlalchemy == "sync" %}
                    await to_thread.run_sync(self._probe, limiter=self._threads)
                    # {% else %}
                    await self._probe()
                    # {% endif %}
                except Exception:
                    log.exception("redis_probe_failed")

    async def _wait_until_due(self) -> None:
        for _ in range(ceil(self.settings.redis_probe_seconds / _RETRY_SECONDS)):
            self._ticked = monotonic()
            await asyncio.sleep(_RETRY_SECONDS)
            self._late_seconds = monotonic() - self._ticked - _RETRY_SECONDS
            if self._pending_deletes or not self.up:
                break
