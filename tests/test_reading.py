"""Readability of template/: most Python files are plain, and no file has many marks."""

import ast
import logging
import re
from collections.abc import Callable
from pathlib import Path

from tests.matrix import FULLEST, Answers
from tests.project import Project
from tests.sources import is_plain, marks, python_sources, sources

log = logging.getLogger(__name__)


def test_most_python_files_are_plain(template: Path) -> None:
    """Count the files whose only marks surround code for both modes; test_static lints these."""
    python = python_sources(template)
    plain = [name for name, text in python.items() if is_plain(text)]
    log.info("%d of %d Python files are plain", len(plain), len(python))
    assert len(plain) >= 100
    assert len(plain) >= 0.7 * len(python)


def test_every_python_source_parses(template: Path) -> None:
    for name, text in python_sources(template).items():
        ast.parse(text, name)


def test_no_string_contains_code(template: Path) -> None:
    """Reject code that editors, linters and readers do not see as code."""
    for name, text in python_sources(template).items():
        assert not re.search(r"\{\{\s*[\"']|\blines\(", text.replace("_lines(", "")), name


def test_a_service_stays_small(render: Callable[[Answers], Project]) -> None:
    """Hold the lines of the default service, which its team reads and owns."""
    files = render({}).files()
    for folder, limit in (("app", 2_850), ("scripts", 500)):
        python = [name for name in files if name.startswith(f"{folder}/") and name.endswith(".py")]
        lines = sum(len(files[name].splitlines()) for name in python)
        log.info("%d lines in %s/ of the default service", lines, folder)
        assert lines <= limit


def test_the_map_of_the_house_names_files(
    template: Path, render: Callable[[Answers], Project]
) -> None:
    guide = (template / "CONTRIBUTING.md").read_text("utf-8")
    house = guide[guide.index("## The house of a service") : guide.index("## Add a question")]
    named = set(re.findall(r"`((?:app/)?[\w/]+\.py)`", house))
    assert len(named) >= 8
    assert named <= render(FULLEST).files().keys()


def test_no_file_has_many_marks(template: Path) -> None:
    """Allow a mark per ten lines of Python, and more in lists and docs, which name each part."""
    lines_a_mark = {
        name: max(len(text.splitlines()), 50) / marks(text)
        for name, text in sources(template).items()
        if marks(text)
    }
    densest = sorted(lines_a_mark, key=lines_a_mark.__getitem__)[:9]
    for name in densest:
        log.info("%5.1f lines for each mark in %s", lines_a_mark[name], name)
    limits = {name: 10 if name.endswith(".py") else 3 for name in lines_a_mark}
    assert not [name for name, lines in lines_a_mark.items() if lines < limits[name]]
