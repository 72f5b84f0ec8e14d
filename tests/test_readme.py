"""What the README shows is what the template makes."""

import re
from collections.abc import Callable
from pathlib import Path

from docs.draw import redraw
from tests.matrix import FULLEST, Answers
from tests.project import Project


def test_its_pictures_are_those_of_services(
    template: Path, render: Callable[[Answers], Project]
) -> None:
    readme = (template / "README.md").read_text("utf-8")
    drawn = redraw(readme, render({}).folder, render(FULLEST).folder)
    assert drawn == readme, "run `make draw`"


def test_its_commands_are_those_of_the_services_own(
    template: Path, render: Callable[[Answers], Project]
) -> None:
    shown = re.search(
        r"<!-- curl -->\n(.+?)<!-- end -->", (template / "README.md").read_text("utf-8"), re.DOTALL
    )
    assert shown
    assert shown[1] in render({}).files()["README.md"]
