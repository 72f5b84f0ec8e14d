"""Migrations: upgrade, downgrade, and a failure in between."""

from pathlib import Path

import pytest

from tests import databases

FAILING = """
revision = "failing"
down_revision = {before!r}


def upgrade() -> None:
    raise ZeroDivisionError
"""


def test_upgrade_after_downgrade_matches_the_models(server: str) -> None:
    with databases.database(server) as url:
        databases.migrate(url, "base")
        databases.migrate(url, "head")
        databases.check(url)


def test_a_failing_migration_rolls_back_the_previous_ones(server: str, tmp_path: Path) -> None:
    with databases.database(server) as url:
        before = databases.revision(url) or None
        databases.migrate(url, "base")
        (tmp_path / "failing.py").write_text(FAILING.format(before=before))
        with pytest.raises(ZeroDivisionError):
            databases.migrate(url, "failing", tmp_path)
        assert databases.revision(url) == ""
        databases.migrate(url, "head")
