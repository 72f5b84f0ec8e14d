"""Servers of the tests: those that settings name, and private ones for the rest."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock
# {% if redis_cache %}
from uuid import uuid4
# {% endif %}

import pytest

from app.settings import Settings
from scripts import dev
from tests import databases

STARTED = dev.SERVERS | {"DATABASE_URL": databases.server}
# {% if redis_cache or cpu_jobs == "celery" %}
NOWHERE = "redis://127.0.0.1:1/0"


def urls() -> dict[str, str]:
    """Return the URLs of the servers beside the database, by the names of their fields."""
    return {
        # {% if redis_cache %}
        # Tests that run at once share a server.
        "cache_prefix": f"test-{uuid4().hex}",
        # {% endif %}
        **{
            name.lower(): os.environ.get(name, NOWHERE)
            for name in dev.SERVERS
            if name != "DATABASE_URL"
        },
    }
# {% endif %}


@contextmanager
def environment() -> Iterator[None]:
    """Start the servers that no setting names, and put the URLs of all into the environment.

    The other settings in the environment are removed: they are for another service.
    """
    urls = {name: url for name, url in dev.given_settings().items() if name in STARTED}
    # {% if database == "sqlite" %}
    urls.pop("DATABASE_URL", None)  # A file that is set holds data of the developer.
    # {% endif %}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        for name in STARTED.keys() - urls.keys():
            try:
                urls[name] = stack.enter_context(STARTED[name](folder / name.lower()))
            except (OSError, RuntimeError) as error:
                message = f"{name} is not set, and no private server starts for it: {error}"
                raise pytest.UsageError(message) from error
        stack.enter_context(mock.patch.dict(os.environ))
        for name in Settings.model_fields:
            os.environ.pop(name.upper(), None)
        os.environ.update(urls)
        # {% if cpu_jobs == "process_pool" %}
        # Jobs wait, except in tests that run them.
        os.environ["PROCESS_POOL_SIZE"] = "0"
        # {% endif %}
        yield
