"""Daily work on a service: commits, pre-commit hooks, merge conflicts, first revisions."""

import re
from collections.abc import Callable

import pytest

from tests.matrix import FULLEST, SMALLEST, Answers, label
from tests.project import CommandError, Project

PRE_COMMIT = ["uv", "run", "pre-commit", "run", "--all-files"]
REVISION = '''"""Orders."""

revision = "3f9a1c7b20de"
down_revision = "8c14e9f7ab02"
'''
ORDERS = '''"""Table of orders."""

from datetime import datetime

from sqlalchemy.orm import Mapped

from app.core.database.models import Record


class Order(Record):
    """Purchase by a customer."""

    __tablename__ = "orders"

    title: Mapped[str]
    paid_at: Mapped[datetime | None]
'''
CONFLICT = "<<<<<<< before updating\nmine\n=======\ntheirs\n>>>>>>> after updating\n"
# Each row has a file, its content, and the name of the hook that refuses the file.
REFUSED = [
    ("notes.md", CONFLICT, "merge conflicts"),
    ("dump.txt", "0123456789" * 60_000, "large files"),
    ("app/key.txt", "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIE\n", "secrets"),
    ("app/aws.txt", "AKIA" + "Z7VNTQXJ3YRWKLME", "secrets"),
    (".env", "SECRET_KEY=hunter2\n", "settings files"),
    ("app/mess.py", 'import os\nx = "1"\n', "lint"),
    ("app/mess2.py", '"""A mess."""\n\nx = {  "a":1 }\n', "format"),
]


@pytest.fixture(scope="module", params=[SMALLEST, FULLEST], ids=label)
def repository(request: pytest.FixtureRequest, render: Callable[[Answers], Project]) -> Project:
    """Return a service in a Git repository of its own."""
    project = render(request.param)
    project.run("uv", "sync")
    project.run("git", "init", "--quiet")
    project.run("git", "add", "--all")
    return project


@pytest.fixture(scope="session")
def hooks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the setting for a shared folder in which pre-commit installs hooks once."""
    return {"PRE_COMMIT_HOME": str(tmp_path_factory.mktemp("hooks"))}


def test_rendered_service_passes_pre_commit(repository: Project, hooks: dict[str, str]) -> None:
    (repository.folder / "migrations/versions/20260101_3f9a1c7b20de_orders.py").write_text(REVISION)
    repository.run("git", "add", "--all")
    repository.run(*PRE_COMMIT, **hooks)
    repository.run("uv", "run", "poe", "merged")


def test_pre_commit_refuses_bad_files(repository: Project, hooks: dict[str, str]) -> None:
    names = [name for name, _, _ in REFUSED]
    for name, text, _ in REFUSED:
        (repository.folder / name).write_text(text)
    repository.run("git", "add", "--force", *names)
    with pytest.raises(CommandError) as refused:
        repository.run(*PRE_COMMIT, **hooks)
    repository.run("git", "rm", "--quiet", "--force", *names)
    # The output of each hook begins with its name and its result.
    printed = re.split(r"^(?=[\w ]+\.{3,})", str(refused.value), flags=re.MULTILINE)
    for name, _, hook in REFUSED:
        # The formatter names no file.
        shown = "reformatted" if hook == "format" else name
        assert [part for part in printed if part.startswith(f"{hook}.") and shown in part], name


def test_conflict_marker_fails_the_checks(repository: Project) -> None:
    conflict = repository.folder / "notes.md"
    conflict.write_text(CONFLICT)
    with pytest.raises(CommandError, match=r"notes\.md:1:<<<<<<<"):
        repository.run("uv", "run", "poe", "merged")
    conflict.unlink()


@pytest.mark.parametrize("answers", [SMALLEST, FULLEST], ids=label)
def test_first_revision_in_a_fresh_checkout(
    answers: Answers, render: Callable[[Answers], Project]
) -> None:
    """Start without a database, and with a column whose type SQLite lacks."""
    service = render(answers)
    domain = service.folder / "app/domains/orders"
    domain.mkdir()
    (domain / "__init__.py").write_text('"""Orders."""\n')
    (domain / "models.py").write_text(ORDERS)
    printed = service.run("uv", "run", "poe", "revision", "-m", "add orders")
    assert "The database is migrated first." in printed
    service.run("uv", "run", "poe", "migrate")
    written = next((service.folder / "migrations/versions").glob("*_add_orders.py"))
    assert 'sa.Column("paid_at", sa.DateTime(timezone=True), nullable=True)' in written.read_text()
    check = ["uv", "run", "python", "-m", "scripts.dev", "alembic", "check"]
    assert "No new upgrade operations" in service.run(*check)
    service.run("uv", "run", "poe", "check")
