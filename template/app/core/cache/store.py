# {% from "includes/unasync.jinja" import unasync with context %}
"""Answers kept in Redis: read without the database, and never older than the last commit.

A key is absent, or held by who loads it (a lease), or has an answer. Whoever finds it absent takes
the lease; the others wait for the answer. What a commit changes is deleted before its response, a
lease too: what was loaded before the commit is not stored after it.

To cache what a domain answers, declare it, and read it through the cache:

    PROFILES = Cached(User, Profile, UserNotFound)
    profile = await cache.read(PROFILES, user_id, load)

Rows that are changed through a session need no more. After a statement that changes them past the
session, or if an answer holds more than its row:
`session.after_commit(partial(cache.invalidate, …))`.
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
# Who holds a lease for longer has died, or its answer would come late.
_LEASE_SECONDS = 3.0
# Long enough for a crowd that asks for nothing, short enough not to fill the memory with it.
_MISSING_SECONDS = 5.0

# Stores under a key, or deletes it if there is nothing to store, if it still has the lease.
_SETTLE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '' then return redis.call('DEL', KEYS[1]) end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""


class Answer(NamedTuple):
    """The body of a response, as it is sent, and its tag."""

    tag: str
    body: bytes

    def response(self, if_none_match: str | None) -> Response:
        """The response, or 304 when the caller holds this version already."""
        headers = tag_headers(self.tag)
        if if_none_match is not None and matches(if_none_match, self.tag):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        return Response(self.body, headers=headers, media_type="application/json")


class Cached(Generic[Row]):
    """What is kept of a model: each row as a response, or that there is none."""

    registry: ClassVar[list["Cached[Any]"]] = []

    def __init__(self, model: type[Row], schema: type[Schema], missing: type[NotFound]) -> None:
        self.model = model
        self.missing = missing
        self.name = f"{model.__tablename__}.{schema.__name__}"
        self._schema = schema
        # In the value and not in its key: a deployment with another shape does not read it, but
        # what that one writes deletes it.
        shape = json.dumps(schema.model_json_schema(mode="serialization"), sort_keys=True)
        self._shape = blake2b(shape.encode(), digest_size=4).hexdigest().encode()
        Cached.registry.append(self)

    def answer(self, row: Row) -> Answer:
        """What is sent of a row."""
        body = self._schema.model_validate(row).model_dump_json(by_alias=True)
        return Answer(etag(row), body.encode())

    def pack(self, answer: Answer | None) -> bytes:
        """What is stored: shape, checksum, tag, body; for None neither tag nor body."""
        content = b"%s\n%s" % (answer.tag.encode(), answer.body) if answer else b""
        return b"%s%08x%s" % (self._shape, crc32(content), content)

    def unpack(self, value: bytes) -> Answer:
        """What was stored; raises `missing`, or ValueError for garbage and another shape."""
        content = value[16:]
        if value[:16] != b"%s%08x" % (self._shape, crc32(content)):
            raise ValueError
        if not content:
            raise self.missing
        tag, _, body = content.partition(b"\n")
        return Answer(tag.decode(), body)


class Cache(RedisServer):
    """The answers that are kept."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._ttl_seconds = settings.cache_ttl_seconds
        # Who loaded before a commit can store after it, as long as the lease lasts.
        self._expires_seconds = _LEASE_SECONDS + settings.cache_ttl_seconds
        self._settle = self.client.register_script(_SETTLE)

    async def read(
        self,
        kind: Cached[Row],
        key: UUID,
        load: Callable[[UUID], Awaitable[Row]],
    ) -> Answer:
        """What is kept, or else what `load` gives; raises what it raises."""
        name = self._name(kind, key)
        found = await self._find(kind, name) if self.up else None
        if isinstance(found, Answer):
            return found
        value, seconds = b"", 0.0
        try:
            row = await load(key)
            answer = kind.answer(row)
            # Not all at once: what was stored in one moment would be missed in one.
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
        """Forget what is kept, and what is being loaded."""
        await self._drop({self._name(kind, key)})

    def invalidate_on_commit(self, session: WriteSession) -> None:
        """Drop what this session changes, after its commit."""
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
                session.after_commit(partial(self._drop, names))
            names.update(changed)

        def note_commit(_: Session) -> None:
            nonlocal commits
            commits = True

        def on_uncertain_commit(*_: object) -> None:
            # A commit whose answer was lost may have happened.
            if commits and names:
                self.delete_soon(names, expires_seconds=self._expires_seconds)

        event.listen(session.sync_session, "after_flush", note)
        event.listen(session.sync_session, "before_commit", note_commit)
        event.listen(session.sync_session, "after_soft_rollback", on_uncertain_commit)

    async def _drop(self, names: Set[str]) -> None:
        await self.delete(names, expires_seconds=self._expires_seconds)

    def _name(self, kind: Cached[Any], key: UUID) -> str:
        return f"{self.settings.cache_prefix}:{kind.name}:{key}"

    async def _find(self, kind: Cached[Any], name: str) -> Answer | bytes | None:
        """The answer, or a lease if it is ours to load, or None if Redis or time ran out."""
        lease = _LEASE + uuid4().bytes
        # Long enough to take over from who died.
        ends = monotonic() + 2 * _LEASE_SECONDS
        pause_seconds = 0.002
        try:
            value = await self._get(name)
            while self.up and monotonic() < ends:
                if value is None:
                    value = await self._take(name, lease)
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

    async def _take(self, name: str, lease: bytes) -> bytes | None:
        """Take the lease, or get what is there already."""
        milliseconds = round(_LEASE_SECONDS * 1_000)
        async with self.connected() as redis:
            there = await redis.set(name, lease, nx=True, get=True, px=milliseconds)
        # Ours is there if the first answer was lost with its connection.
        return None if there == lease else cast(bytes | None, there)

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
        """Store the value under the lease, if it is still there; an empty one only ends it."""
        async with self.connected():
            await self._settle(keys=[name], args=[lease, value, round(seconds * 1_000)])
# {% endcall %}
