"""HTTP client of an application that runs in this process."""

# {% if sqlalchemy == "async" %}
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from blockbuster import blockbuster_ctx
from fastapi import FastAPI
from httpx2 import ASGITransport, AsyncClient

Client = AsyncClient


@asynccontextmanager
async def serve(app: FastAPI) -> AsyncIterator[Client]:
    """Serve the application and return its client; calls that block the event loop fail."""
    with blocking_calls_fail():
        async with (
            app.router.lifespan_context(app),
            AsyncClient(transport=ASGITransport(app), base_url="http://test") as client,
        ):
            yield client


@contextmanager
def blocking_calls_fail() -> Iterator[None]:
    """Raise BlockingError in calls that block the event loop."""
    with blockbuster_ctx() as blocker:
        # Drivers look up files on connecting, and OpenAPI reads the version once: both are short.
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
    """Serve the application, with its lifespan, and return its client."""
    with Client(app, base_url="http://test") as client:
        yield client
# {% endif %}
