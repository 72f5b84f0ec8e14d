"""Comparison of a service with the files that its template renders."""

import difflib
import re
from pathlib import Path
from tempfile import TemporaryDirectory

from copier_fastapi.merge import FORMER_MARKER, MARKER
from copier_fastapi.service import ANSWERS, ROOT
from copier_fastapi.template import Template

TEMPLATES = "Files of the template"
SHARED = "Shared files; your lines belong below `# Add yours below.`"
YOURS = "Your files, rendered as an example to change"
_EXAMPLE = re.compile(r"(app|tests)/domains/\w+/|migrations/versions/|docs/|README\.md$")


def compare(source: str | None, *, diff: bool, strict: bool) -> int:
    """Print which files differ; return 1 if `strict` and files of the template differ."""
    with TemporaryDirectory() as folder, Template.of(ROOT, source) as template:
        rendered = template.render(template.version, ROOT / ANSWERS, Path(folder) / "fresh")
        newest = template.next()
        differing = [path for path in rendered if differs(path, rendered[path])]
        owners = {path: owner(path, rendered[path]) for path in differing}
        for title in (TEMPLATES, SHARED, YOURS):
            if title in owners.values():
                print(f"{title}:")
            for path in differing:
                if owners[path] == title:
                    show(path, rendered[path], diff=diff)
    as_rendered = len(rendered) - len(differing)
    print(f"{as_rendered} of {len(rendered)} files match {template.version}.")
    if newest != template.version:
        print(f"The newest version is {newest}: run `uv run poe update`.")
    return int(strict and TEMPLATES in owners.values())


def owner(path: str, fresh: Path) -> str:
    """Return the title under which a rendered file is listed."""
    if _EXAMPLE.match(path):
        return YOURS
    text = fresh.read_text(errors="replace")
    return SHARED if any(marker in text for marker in (MARKER, FORMER_MARKER)) else TEMPLATES


def differs(path: str, fresh: Path) -> bool:
    """Return whether a file is missing or differs from its render."""
    own = ROOT / path
    return path != ANSWERS and not (own.is_file() and own.read_bytes() == fresh.read_bytes())


def show(path: str, fresh: Path, *, diff: bool) -> None:
    """Print how many lines of a file differ, and with `diff` which."""
    own = ROOT / path
    if not own.is_file():
        print(f"    deleted    {path}")
        return
    before, after = (file.read_text(errors="replace").splitlines() for file in (fresh, own))
    lines = list(difflib.unified_diff(before, after, f"rendered/{path}", path, lineterm=""))
    added = sum(line.startswith("+") for line in lines[2:])
    removed = sum(line.startswith("-") for line in lines[2:])
    print(f"    {f'+{added} -{removed}':<10} {path}")
    if diff:
        print(*lines, "", sep="\n")
