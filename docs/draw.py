"""Diagrams and file tree of the documentation, drawn from rendered services: `make draw`."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.matrix import FULLEST, TEMPLATE
from tests.project import Project

DOCUMENTS = ("README.md", "docs/structure.md")

# The tree does not list these files, which any project has.
COMMON = {
    ".copier-answers.yml",
    ".dockerignore",
    ".editorconfig",
    ".env.example",
    ".gitattributes",
    ".github",
    ".gitignore",
    ".pre-commit-config.yaml",
    "README.md",
    "docs",
    "renovate.json",
}

# Packages of core and the modules above them, top layer first; all may use the other modules.
ROOMS = ["dependencies", "startup", "cache", "jobs", "http", "security", "database", "serving"]

# Layers that a request passes, outermost first; `core` and `settings` stand for all their modules.
WAY = ["main", "api", "router", "service", "repository", "models", "core", "settings"]


def tree(service: Path) -> str:
    """Return a service's folders and modules, each with the first line of its docstring."""
    rows = [row for row in _rows(service, service) if row[0]]
    width = max(len(name) for name, _ in rows) + 2
    return "\n".join(f"{name:<{width}}{meaning}".rstrip() for name, meaning in rows)


def way(service: Path) -> str:
    """Return a Mermaid flowchart of the imports between the layers that a request passes."""
    arrows = {
        (source, target)
        for path in sorted((service / "app").rglob("*.py"))
        if (source := _place(path.relative_to(service).with_suffix("").parts))
        for module in _imports(path)
        if (target := _place(tuple(module.split(".")))) and source != target
    }
    steps = [f"    {source} --> {target}" for source, target in sorted(arrows, key=_order)]
    return "\n".join(["flowchart LR", *steps])


def rooms(service: Path) -> str:
    """Return a Mermaid flowchart of the imports between the packages of core."""
    core = service / "app/core"
    arrows = {
        (source, target)
        for path in sorted(core.rglob("*.py"))
        if (source := path.relative_to(core).with_suffix("").parts[0]) in ROOMS
        for module in _imports(path)
        if module.startswith("app.core.")
        if (target := module.split(".")[2]) in ROOMS and source != target
    }
    ordered = sorted(arrows, key=lambda arrow: (ROOMS.index(arrow[0]), ROOMS.index(arrow[1])))
    return "\n".join(
        ["flowchart TD", *(f"    {source} --> {target}" for source, target in ordered)]
    )


def redraw(document: str, default: Path, fullest: Path) -> str:
    """Return a document with the diagrams of both services drawn again."""
    for name, language, picture in (
        ("tree", "text", tree(default)),
        ("way", "mermaid", way(default)),
        ("rooms", "mermaid", rooms(fullest)),
    ):
        block = f"<!-- {name} -->\n```{language}\n{picture}\n```\n<!-- end -->"
        old = rf"<!-- {name} -->.*?<!-- end -->"
        document = re.sub(old, block.replace("\\", r"\\"), document, flags=re.DOTALL)
    return document


def _rows(folder: Path, root: Path) -> Iterator[tuple[str, str]]:
    depth = "    " * len(folder.relative_to(root).parts)
    for path in sorted(folder.iterdir(), key=lambda path: (path.is_dir(), path.name)):
        if path.name in COMMON | {"__init__.py"} or path.name.endswith(".mako"):
            continue
        if path.is_dir():
            yield f"{depth}{path.name}/", _meaning(path / "__init__.py")
            if path.name not in {"tests", "scripts"}:
                yield from _rows(path, root)
        else:
            yield f"{depth}{path.name}", _meaning(path)


def _meaning(path: Path) -> str:
    if path.suffix != ".py" or not path.exists():
        return ""
    docstring = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    return docstring.partition("\n")[0].removesuffix(".")


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _place(parts: tuple[str, ...]) -> str | None:
    match parts:
        case ("app", "domains", "users", layer, *_):
            place = layer
        case ("app", "domains"):
            place = "router"  # `app/api.py` imports this package to include its routers.
        case ("app", layer, *_):
            place = layer
        case _:
            place = ""
    return place if place in WAY else None


def _order(arrow: tuple[str, str]) -> tuple[int, int]:
    return WAY.index(arrow[0]), WAY.index(arrow[1])


def main() -> None:
    """Write the diagrams into the documents."""
    with TemporaryDirectory() as folder:
        default = Project.render(TEMPLATE, Path(folder) / "default", {}).folder
        fullest = Project.render(TEMPLATE, Path(folder) / "fullest", FULLEST).folder
        for name in DOCUMENTS:
            document = TEMPLATE / name
            document.write_text(redraw(document.read_text("utf-8"), default, fullest), "utf-8")


if __name__ == "__main__":
    main()
