"""The guard against blocking the event loop bites."""

import time

import pytest
from blockbuster import BlockingError
from fastapi import FastAPI

from tests.client import Client


async def test_a_route_that_blocks_fails(app: FastAPI, client: Client) -> None:
    @app.get("/stuck")
    async def stuck() -> None:
        with pytest.raises(BlockingError):
            time.sleep(0.001)  # noqa: ASYNC251 - what the guard is for
        time.sleep(0.001)  # noqa: ASYNC251

    response = await client.get("/stuck")
    assert response.status_code == 500
