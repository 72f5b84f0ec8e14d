"""A reader finds a service in template/, not a puzzle."""

import logging
import re
from pathlib import Path

log = logging.getLogger(__name__)

# GitHub's own braces are no mark: `${{ … }}`.
MARK = re.compile(r"(?<!\$)\{\{|\{%|\{#")


def sources(template: Path) -> dict[str, str]:
    """Return the text of every file in template/ by its path."""
    root = template / "template"
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_text("utf-8") for path in files}


def test_half_of_the_python_files_carry_no_jinja(template: Path) -> None:
    python = {
        name: text
        for name, text in sources(template).items()
        if name.endswith((".py", ".py.jinja"))
    }
    plain = [name for name, text in python.items() if not MARK.search(text)]
    log.info("%d of %d Python files carry no Jinja", len(plain), len(python))
    assert len(plain) * 2 >= len(python)


def test_only_files_that_end_in_jinja_carry_any(template: Path) -> None:
    for name, text in sources(template).items():
        assert name.endswith(".jinja") == bool(MARK.search(text)), name


def test_no_file_has_many_marks(template: Path) -> None:
    """A mark in ten lines of Python, five in a short file; lists and docs name each part."""
    lines_a_mark = {
        name: max(len(text.splitlines()), 50) / len(MARK.findall(text))
        for name, text in sources(template).items()
        if MARK.search(text)
    }
    densest = sorted(lines_a_mark, key=lines_a_mark.__getitem__)[:5]
    for name in densest:
        log.info("%5.1f lines for each mark in %s", lines_a_mark[name], name)
    limits = {name: 10 if name.endswith(".py.jinja") else 5 for name in lines_a_mark}
    assert not [name for name, lines in lines_a_mark.items() if lines < limits[name]]
