"""The example can be deleted as the README says, and what is left is a service."""

import re
from collections.abc import Callable

import pytest

from tests.matrix import FULLEST, SMALLEST, Answers, label
from tests.project import Project

FIXTURES = re.compile(r"\n\n\n@pytest.fixture\n(async )?def ann\(.*", re.DOTALL)


@pytest.mark.parametrize("answers", [SMALLEST, FULLEST], ids=label)
def test_a_service_without_the_example_passes_its_checks_and_tests(
    answers: Answers, render: Callable[[Answers], Project]
) -> None:
    service = render(answers)
    readme = service.files()["README.md"]
    command = readme[readme.index("    rm -r ") :].partition("\n\n")[0]
    service.run("bash", "-e", "-c", command)
    conftest = service.folder / "tests/conftest.py"
    text = conftest.read_text().replace("from tests.accounts import Account, sign_up\n", "")
    conftest.write_text(FIXTURES.sub("\n", text))

    service.run("uv", "run", "poe", "check")
    assert re.search(r"\b\d+ passed", service.run("uv", "run", "poe", "test"))
