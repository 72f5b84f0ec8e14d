"""A reader finds a service in template/, not a puzzle."""

import ast
import logging
import re
from pathlib import Path

from tests.sources import is_plain, marks, python_sources, sources

log = logging.getLogger(__name__)


def test_most_python_files_are_plain(template: Path) -> None:
    """Their only marks surround code for both modes: test_static shows them to ruff and mypy."""
    python = python_sources(template)
    plain = [name for name, text in python.items() if is_plain(text)]
    log.info("%d of %d Python files are plain", len(plain), len(python))
    assert len(plain) >= 100
    assert len(plain) >= 0.7 * len(python)


def test_every_python_file_is_python(template: Path) -> None:
    for name, text in python_sources(template).items():
        ast.parse(text, name)


def test_no_code_hides_in_a_string(template: Path) -> None:
    """No editor, linter or reader would see it."""
    for name, text in python_sources(template).items():
        assert not re.search(r"\{\{\s*[\"']|\blines\(", text.replace("_lines(", "")), name


def test_no_file_has_many_marks(template: Path) -> None:
    """A mark in ten lines of Python, five in a short file; lists and docs name each part."""
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
