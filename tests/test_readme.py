"""Documents of the template: their diagrams and commands match rendered services."""

import re
from collections.abc import Callable
from pathlib import Path

from docs.draw import DOCUMENTS, redraw
from tests.matrix import FULLEST, Answers
from tests.project import Project


def test_diagrams_match_rendered_services(
    template: Path, render: Callable[[Answers], Project]
) -> None:
    for name in DOCUMENTS:
        document = (template / name).read_text("utf-8")
        drawn = redraw(document, render({}).folder, render(FULLEST).folder)
        assert drawn == document, "run `make draw`"


def test_commands_match_the_readme_of_a_service(
    template: Path, render: Callable[[Answers], Project]
) -> None:
    shown = re.search(
        r"<!-- curl -->\n(.+?)<!-- end -->", (template / "README.md").read_text("utf-8"), re.DOTALL
    )
    assert shown
    assert shown[1] in render({}).files()["README.md"]
