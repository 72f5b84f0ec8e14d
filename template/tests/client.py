"""A client of the application in this process."""

# {% if sqlalchemy == "async" %}
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from blockbuster import blockbuster_ctx
from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient

Client = AsyncClient


@asynccontextmanager
async def serve(app: FastAPI) -> AsyncIterator[Client]:
    """The application with its lifespan, and a client of it; what blocks the event loop fails."""
    with blocking_calls_fail():
        async with (
            app.router.lifespan_context(app),
            AsyncClient(transport=ASGITransport(app), base_url="http://test") as client,
        ):
            yield client


@contextmanager
def blocking_calls_fail() -> Iterator[None]:
    """Fail whatever blocks the event loop."""
    with blockbuster_ctx() as blocker:
        # Drivers look for files when they connect, and OpenAPI reads a version: once, and small.
        for harmless in ("os.stat", "os.path.abspath", "os.getcwd"):
            blocker.functions[harmless].deactivate()
        metadata = "importlib/metadata/__init__.py"
        blocker.functions["io.TextIOWrapper.read"].can_block_in(metadata, "metadata")
        yield
# {% else %}
from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import FastAPI
from fastapi.testclient import TestClient

Client = TestClient


@contextmanager
def serve(app: FastAPI) -> Iterator[Client]:
    """The application with its lifespan, and a client of it."""
    with Client(app, base_url="http://test") as client:
        yield client
# {% endif %}
