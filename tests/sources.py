"""Sources in template/, before a render."""

import re
from pathlib import Path

# A closing tag belongs to its opening tag, and `${{ … }}` of GitHub is no mark.
MARK = re.compile(r"(?<!\$)\{\{|\{%(?!-? end)|\{#")
# These tags surround code that is written once for async and sync.
UNASYNC = re.compile(r"# \{% (from \"includes/unasync\.jinja\".*|call unasync\(\)|endcall) %\}\n")
# Each line that `lines()` adds counts as one mark, with its condition.
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
    """Return whether a file is the same in every service, apart from async and sync."""
    return not MARK.search(UNASYNC.sub("", text))


def marks(text: str) -> int:
    """Count the marks in a file: tags, expressions, and quoted lines of `lines()`."""
    lists = re.findall(r"\{\{ lines\(\{\n(.*?)\}\) \}\}", text, re.DOTALL)
    return len(MARK.findall(text)) + sum(len(QUOTED.findall(each)) for each in lists)
