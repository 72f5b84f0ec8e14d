"""Servers for the tests: the ones named by settings, and private ones for the rest."""

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
    """Return the settings that name the servers other than the database."""
    return {
        # {% if redis_cache %}
        # Concurrent tests share a server, so each application needs its own keys.
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
    """Start each server that no setting names, and set the URLs of all in the environment.

    Remove all other settings from the environment: they belong to another service.
    """
    urls = {name: url for name, url in dev.given_settings().items() if name in STARTED}
    # {% if database == "sqlite" %}
    urls.pop("DATABASE_URL", None)  # The configured file holds the developer's data.
    # {% endif %}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        for name in STARTED.keys() - urls.keys():
            try:
                urls[name] = stack.enter_context(STARTED[name](folder / name.lower()))
            except (OSError, RuntimeError) as error:
                message = f"No server started for {name}: {error}. Set {name} to a running one."
                raise pytest.UsageError(message) from error
        stack.enter_context(mock.patch.dict(os.environ))
        for name in Settings.model_fields:
            os.environ.pop(name.upper(), None)
        os.environ.update(urls)
        # {% if cpu_jobs == "process_pool" %}
        # Jobs stay queued, except in tests that set the size of their pool.
        os.environ["PROCESS_POOL_SIZE"] = "0"
        # {% endif %}
        yield
