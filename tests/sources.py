"""What is in template/: its files as they are, before a render."""

import re
from pathlib import Path

# GitHub's own braces are no mark: `${{ … }}`. A tag that closes another is a part of that one.
MARK = re.compile(r"(?<!\$)\{\{|\{%(?!-? end)|\{#")
# What surrounds code that is written once for both modes.
UNASYNC = re.compile(r"# \{% (from \"includes/unasync\.jinja\".*|call unasync\(\)|endcall) %\}\n")
# A line that `lines()` adds is a mark, as is its condition.
QUOTED = re.compile(r"^\s*[\"'].*[\"'](?: ~ .*)?:", re.MULTILINE)


def sources(template: Path) -> dict[str, str]:
    """Return the text of every file in template/ by its path."""
    root = template / "template"
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_text("utf-8") for path in files}


def python_sources(template: Path) -> dict[str, str]:
    """Return the text of every Python file in template/ by its path."""
    return {name: text for name, text in sources(template).items() if name.endswith(".py")}


def is_plain(text: str) -> bool:
    """Return whether a file is the same in every service, but for async and sync."""
    return not MARK.search(UNASYNC.sub("", text))


def marks(text: str) -> int:
    """Return how many marks a reader meets: tags, expressions, and lines in quotes."""
    lists = re.findall(r"\{\{ lines\(\{\n(.*?)\}\) \}\}", text, re.DOTALL)
    return len(MARK.findall(text)) + sum(len(QUOTED.findall(each)) for each in lists)
