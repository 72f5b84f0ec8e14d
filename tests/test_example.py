"""Deletion of the example: the service still works, and the users' own files stay."""

import re
from collections.abc import Callable

import pytest

from tests.matrix import FULLEST, SMALLEST, Answers, label
from tests.project import CommandError, Project
from tests.test_hooks import delete_example, edit
from tests.test_update import commit, git


@pytest.mark.parametrize("answers", [SMALLEST, FULLEST], ids=label)
def test_a_service_without_the_example_passes_its_checks_and_tests(
    answers: Answers, render: Callable[[Answers], Project]
) -> None:
    service = render(answers)
    git(service.folder, "init", "--quiet")
    commit(service.folder, "Start")
    assert "app/domains/users/" in delete_example(service.folder)
    left = (service.folder / "app/domains").iterdir()
    assert {path.name for path in left} <= {"__init__.py", "__pycache__"}

    service.run("uv", "run", "poe", "check")
    assert re.search(r"\b\d+ passed", service.run("uv", "run", "poe", "test"))


def test_delete_example_keeps_the_users_files(render: Callable[[Answers], Project]) -> None:
    service = render(FULLEST)
    git(service.folder, "init", "--quiet")
    commit(service.folder, "Start")
    edit(service.folder, "app/domains/users/service.py", at_end="# Mine.\n")
    with pytest.raises(CommandError, match="Commit or stash them first"):
        delete_example(service.folder)
    git(service.folder, "checkout", "--quiet", ".")

    own = ["app/domains/orders/router.py", "tests/domains/orders/test_router.py"]
    own.append("migrations/versions/0003_orders.py")
    for path in own:
        (service.folder / path).parent.mkdir(exist_ok=True)
        (service.folder / path).write_text('"""Orders."""\n')
    commit(service.folder, "Orders")
    printed = delete_example(service.folder)
    assert "poe revision -m 'drop the example'" in printed
    for path in (*own, "migrations/versions/0001_users.py"):
        assert (service.folder / path).exists(), path
    assert not (service.folder / "tests/domains/users").exists()
    with pytest.raises(CommandError, match="Commit or stash"):
        delete_example(service.folder)
    git(service.folder, "add", "--all")
    git(service.folder, "commit", "--quiet", "--message=Delete")
    with pytest.raises(CommandError, match="The example has been deleted already"):
        delete_example(service.folder)
