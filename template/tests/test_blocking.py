"""Blocking of the event loop: detected in tests, and absent while a password is hashed."""

import time

import pytest
from anyio import create_task_group, sleep
from blockbuster import BlockingError
from fastapi import FastAPI

from app.core.security.passwords import Passwords
from app.settings import Settings
from tests.client import Client


async def test_a_route_that_blocks_the_event_loop_fails(app: FastAPI, client: Client) -> None:
    @app.get("/stuck")
    async def stuck() -> None:
        with pytest.raises(BlockingError):
            time.sleep(0.001)  # noqa: ASYNC251 - what the guard is for
        time.sleep(0.001)  # noqa: ASYNC251

    response = await client.get("/stuck")
    assert response.status_code == 500


async def test_hashing_a_password_does_not_block_the_event_loop(settings: Settings) -> None:
    costly = settings.model_copy(update={"password_hash_memory_kib": 65_536})
    passwords = Passwords(costly)

    async def ticks_while_hashing() -> int:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await sleep(0.001)
                ticks += 1

        async with create_task_group() as group:
            group.start_soon(tick)
            await passwords.hash("correct horse")
            group.cancel_scope.cancel()
        return ticks

    # A blocked loop ticks twice at most. A busy machine may delay a free loop too: hence 5 tries.
    for _ in range(5):
        if (ticks := await ticks_while_hashing()) > 5:
            break
    assert ticks > 5
