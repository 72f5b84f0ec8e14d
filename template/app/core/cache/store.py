# {% from "includes/unasync.jinja" import unasync with context %}
"""Cache of responses: reads without the database, as fresh as the last commit while Redis works.

A key is absent, or holds a lease, or holds a response. The request that finds a key absent takes
the lease and loads the row; the others wait for the response. A write deletes the keys of its rows
before its response, leases too: a row loaded before the commit is not stored after the commit.

To cache the responses of a domain, declare them, and read them through the cache:

    PROFILES = Cached(User, Profile, UserNotFound)
    profile = await cache.read(PROFILES, user_id, load)

A session invalidates the rows that it tracks. After a bulk statement, or if a response shows more
than its row, invalidate explicitly: `session.after_commit(partial(cache.invalidate, …))`.
"""

# {% call unasync() %}
import json
from collections.abc import Awaitable, Callable, Set
from contextlib import suppress
from functools import partial
from hashlib import blake2b
from http import HTTPStatus
from random import uniform
# {% if sqlalchemy == "sync" %}
from time import monotonic, sleep
# {% else %}
from time import monotonic
# {% endif %}
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar, cast
from uuid import UUID, uuid4
from zlib import crc32

# {% if sqlalchemy == "async" %}
from anyio import sleep
# {% endif %}
from fastapi import Response
from redis.exceptions import ResponseError
from sqlalchemy import event
from sqlalchemy.orm import Session

from app.core.cache.redis import FAILURES, RedisServer
# {% if sqlalchemy == "sync" %}
from app.core.cache.threads import waiting
# {% endif %}
from app.core.database.models import Record
from app.core.database.transactions import WriteSession
from app.core.errors import NotFound
from app.core.http.etags import etag, matches, tag_headers
from app.core.http.schemas import Schema
from app.settings import Settings

Row = TypeVar("Row", bound=Record)

_LEASE = b"lease:"
# A lease expires after this time, because its holder has died or is too slow.
_LEASE_SECONDS = 3.0
# Missing rows are cached long enough for a burst, and too briefly to fill the memory.
_MISSING_SECONDS = 5.0

# If the key still holds the lease, the script stores the value; an empty value deletes the key.
_SETTLE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '' then return redis.call('DEL', KEYS[1]) end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""


class Answer(NamedTuple):
    """Body of a response, as sent to the client, and its ETag."""

    tag: str
    body: bytes

    def response(self, if_none_match: str | None) -> Response:
        """Return the response, or 304 if the client has this version already."""
        headers = tag_headers(self.tag)
        if if_none_match is not None and matches(if_none_match, self.tag):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        return Response(self.body, headers=headers, media_type="application/json")


class Cached(Generic[Row]):
    """Kind of cached response: the rows of one model, including the fact that one is missing."""

    registry: ClassVar[list["Cached[Any]"]] = []

    def __init__(self, model: type[Row], schema: type[Schema], missing: type[NotFound]) -> None:
        self.model = model
        self.missing = missing
        self.name = f"{model.__tablename__}.{schema.__name__}"
        self._schema = schema
        # The shape is in the value and not in the key: a deployment with another schema ignores
        # the value, while its commits still delete the key.
        shape = json.dumps(schema.model_json_schema(mode="serialization"), sort_keys=True)
        self._shape = blake2b(shape.encode(), digest_size=4).hexdigest().encode()
        Cached.registry.append(self)

    def answer(self, row: Row) -> Answer:
        """Return the response for a row."""
        body = self._schema.model_validate(row).model_dump_json(by_alias=True)
        return Answer(etag(row), body.encode())

    def pack(self, answer: Answer | None) -> bytes:
        """Return the value to store: shape, checksum, tag and body; for None only the first two."""
        content = b"%s\n%s" % (answer.tag.encode(), answer.body) if answer else b""
        return b"%s%08x%s" % (self._shape, crc32(content), content)

    def unpack(self, value: bytes) -> Answer:
        """Return the stored response; raises `missing`, ValueError for garbage or another shape."""
        content = value[16:]
        if value[:16] != b"%s%08x" % (self._shape, crc32(content)):
            raise ValueError
        if not content:
            raise self.missing
        tag, _, body = content.partition(b"\n")
        return Answer(tag.decode(), body)


class Cache(RedisServer):
    """Responses in Redis, invalidated when a commit changes their rows."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._ttl_seconds = settings.cache_ttl_seconds
        # A process that loaded a row before a commit may store the row until its lease expires.
        self._expires_seconds = _LEASE_SECONDS + settings.cache_ttl_seconds
        self._settle = self.client.register_script(_SETTLE)

    async def read(
        self,
        kind: Cached[Row],
        key: UUID,
        load: Callable[[UUID], Awaitable[Row]],
    ) -> Answer:
        """Return the cached response, or one from `load`; raises the errors of `load`."""
        name = self._name(kind, key)
        found = await self._find(kind, name) if self.up else None
        if isinstance(found, Answer):
            return found
        value, seconds = b"", 0.0
        try:
            row = await load(key)
            answer = kind.answer(row)
            # Random TTLs spread the cache misses of values that were stored at the same time.
            value, seconds = kind.pack(answer), self._ttl_seconds * uniform(0.9, 1)
        except kind.missing:
            value, seconds = kind.pack(None), _MISSING_SECONDS
            raise
        finally:
            if found is not None:
                with suppress(*FAILURES):
                    await self._store_under_lease(name, found, value, seconds)
        return answer

    async def invalidate(self, kind: Cached[Any], key: UUID) -> None:
        """Delete the cached response, and prevent current loads from storing theirs."""
        await self._invalidate({self._name(kind, key)})

    def invalidate_on_commit(self, session: WriteSession) -> None:
        """Invalidate the rows that this session changes, after its commit."""
        names: set[str] = set()
        commits = False

        def note(flushed: Session, _: object) -> None:
            changed = {
                self._name(kind, row.id)
                for row in (*flushed.new, *flushed.dirty, *flushed.deleted)
                for kind in Cached.registry
                if isinstance(row, kind.model)
            }
            if changed and not names:
                session.after_commit(partial(self._invalidate, names))
            names.update(changed)

        def note_commit(_: Session) -> None:
            nonlocal commits
            commits = True

        def on_uncertain_commit(*_: object) -> None:
            # The database may have committed although its response was lost.
            if commits and names:
                self.delete_soon(names, expires_seconds=self._expires_seconds)

        event.listen(session.sync_session, "after_flush", note)
        event.listen(session.sync_session, "before_commit", note_commit)
        event.listen(session.sync_session, "after_soft_rollback", on_uncertain_commit)

    async def _invalidate(self, names: Set[str]) -> None:
        await self.delete(names, expires_seconds=self._expires_seconds)

    def _name(self, kind: Cached[Any], key: UUID) -> str:
        return f"{self.settings.cache_prefix}:{kind.name}:{key}"

    async def _find(self, kind: Cached[Any], name: str) -> Answer | bytes | None:
        """Return the response, or our lease to load one, or None after a failure or timeout."""
        lease = _LEASE + uuid4().bytes
        # Two leases allow for taking over from a process that died.
        deadline = monotonic() + 2 * _LEASE_SECONDS
        pause_seconds = 0.002
        try:
            value = await self._get(name)
            while self.up and monotonic() < deadline:
                if value is None:
                    value = await self._take_lease(name, lease)
                    if value is None:
                        return lease
                elif value.startswith(_LEASE):
                    # {% if sqlalchemy == "sync" %}
                    with waiting():
                        sleep(pause_seconds)
                    # {% else %}
                    await sleep(pause_seconds)
                    # {% endif %}
                    pause_seconds = min(pause_seconds * uniform(1, 2), 0.05)
                    value = await self._get(name)
                else:
                    try:
                        return kind.unpack(value)
                    except ValueError:
                        await self._discard(name)
                        value = None
        except FAILURES:
            pass
        return None

    async def _get(self, name: str) -> bytes | None:
        async with self.connected() as redis:
            try:
                return cast(bytes | None, await redis.get(name))
            except ResponseError as error:
                if "WRONGTYPE" in str(error):
                    return b"not a string"
                raise

    async def _take_lease(self, name: str, lease: bytes) -> bytes | None:
        """Take the lease and return None, or return the value that the key holds."""
        milliseconds = round(_LEASE_SECONDS * 1_000)
        async with self.connected() as redis:
            stored = await redis.set(name, lease, nx=True, get=True, px=milliseconds)
        # A retried command finds our own lease if the first response was lost.
        return None if stored == lease else cast(bytes | None, stored)

    async def _discard(self, name: str) -> None:
        async with self.connected() as redis:
            await redis.unlink(name)

    async def _store_under_lease(
        self,
        name: str,
        lease: bytes,
        value: bytes,
        seconds: float,
    ) -> None:
        """Store the value if the key still holds the lease; an empty value only ends the lease."""
        async with self.connected():
            await self._settle(keys=[name], args=[lease, value, round(seconds * 1_000)])
# {% endcall %}
