"""What developers of a service do every day, and what they are kept from committing."""

from collections.abc import Callable

import pytest

from tests.matrix import FULLEST, SMALLEST, Answers, label
from tests.project import CommandError, Project

PRE_COMMIT = ["uv", "run", "pre-commit", "run", "--all-files"]
REVISION = '''"""Orders."""

revision = "3f9a1c7b20de"
down_revision = "8c14e9f7ab02"
'''
ORDERS = '''"""The table of orders."""

from datetime import datetime

from sqlalchemy.orm import Mapped

from app.core.database.models import Record


class Order(Record):
    """Something that somebody buys."""

    __tablename__ = "orders"

    title: Mapped[str]
    paid_at: Mapped[datetime | None]
'''
CONFLICT = "<<<<<<< before updating\nmine\n=======\ntheirs\n>>>>>>> after updating\n"
# A file, what is in it, and the hook that refuses it.
REFUSED = [
    ("notes.md", CONFLICT, "what a merge left"),
    ("dump.txt", "0123456789" * 60_000, "large files"),
    ("app/key.txt", "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIE\n", "secrets"),
    ("app/aws.txt", "AKIA" + "Z7VNTQXJ3YRWKLME", "secrets"),
    (".env", "SECRET_KEY=hunter2\n", "files of settings"),
    ("app/mess.py", 'import os\nx = "1"\n', "lint"),
    ("app/mess2.py", '"""A mess."""\n\nx = {  "a":1 }\n', "format"),
]


@pytest.fixture(scope="module", params=[SMALLEST, FULLEST], ids=label)
def repository(request: pytest.FixtureRequest, render: Callable[[Answers], Project]) -> Project:
    """A service in a repository of its own."""
    project = render(request.param)
    project.run("uv", "sync")
    project.run("git", "init", "--quiet")
    project.run("git", "add", "--all")
    return project


@pytest.fixture(scope="session")
def hooks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Where the hooks are installed, once."""
    return {"PRE_COMMIT_HOME": str(tmp_path_factory.mktemp("hooks"))}


def test_a_service_as_rendered_may_be_committed(repository: Project, hooks: dict[str, str]) -> None:
    (repository.folder / "migrations/versions/20260101_3f9a1c7b20de_orders.py").write_text(REVISION)
    repository.run("git", "add", "--all")
    repository.run(*PRE_COMMIT, **hooks)
    repository.run("uv", "run", "poe", "merged")


@pytest.mark.parametrize(("name", "text", "hook"), REFUSED, ids=[row[0] for row in REFUSED])
def test_what_nobody_should_commit_is_refused(
    repository: Project, hooks: dict[str, str], name: str, text: str, hook: str
) -> None:
    (repository.folder / name).write_text(text)
    repository.run("git", "add", "--force", name)
    try:
        with pytest.raises(CommandError, match=rf"{hook}\.+Failed"):
            repository.run(*PRE_COMMIT, **hooks)
    finally:
        repository.run("git", "rm", "--quiet", "--force", name)


def test_a_conflict_fails_the_checks(repository: Project) -> None:
    conflict = repository.folder / "notes.md"
    conflict.write_text(CONFLICT)
    with pytest.raises(CommandError, match=r"notes\.md:1:<<<<<<<"):
        repository.run("uv", "run", "poe", "merged")
    conflict.unlink()


@pytest.mark.parametrize("answers", [SMALLEST, FULLEST], ids=label)
def test_a_first_revision_on_a_fresh_checkout(
    answers: Answers, render: Callable[[Answers], Project]
) -> None:
    """No database is there yet, and one of the columns has a type that SQLite lacks."""
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
