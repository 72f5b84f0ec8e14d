"""The SQLite database that development and tests use."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def sqlite(folder: Path) -> Iterator[str]:
    """Keep a SQLite database in `folder`; gives its URL."""
    folder.mkdir(parents=True, exist_ok=True)
    yield f"sqlite:///{folder.resolve() / 'app.db'}"
