"""The migrations, on a database of their own."""

from pathlib import Path

import pytest

from tests import databases

FAILING = """
revision = "failing"
down_revision = {before!r}


def upgrade() -> None:
    raise ZeroDivisionError
"""


def test_they_go_up_and_down_and_up_to_what_the_models_say(server: str) -> None:
    with databases.database(server) as url:
        databases.migrate(url, "base")
        databases.migrate(url, "head")
        databases.check(url)


def test_one_that_fails_takes_those_before_it_along(server: str, tmp_path: Path) -> None:
    with databases.database(server) as url:
        before = databases.revision(url) or None
        databases.migrate(url, "base")
        (tmp_path / "failing.py").write_text(FAILING.format(before=before))
        with pytest.raises(ZeroDivisionError):
            databases.migrate(url, "failing", tmp_path)
        assert databases.revision(url) == ""
        databases.migrate(url, "head")
