"""The Redis of the tests, and a part of it for each."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from scripts.dev import given_settings
from scripts.redis import redis

NOWHERE = "redis://127.0.0.1:1/0"


@contextmanager
def server() -> Iterator[str]:
    """The server that REDIS_URL names, or else one that is gone afterwards."""
    if given := given_settings().get("REDIS_URL"):
        yield given
        return
    with TemporaryDirectory() as folder, redis(Path(folder)) as url:
        yield url


def settings() -> dict[str, str]:
    """The server, and a part of it that is empty."""
    url = os.environ.get("REDIS_URL", NOWHERE)
    return {"redis_url": url, "cache_prefix": f"test-{uuid4().hex}"}
