"""SQLite database for development and tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def sqlite(folder: Path) -> Iterator[str]:
    """Create the folder of a SQLite database; yields its URL."""
    folder.mkdir(parents=True, exist_ok=True)
    yield f"sqlite:///{folder.resolve() / 'app.db'}"
