"""House linter for wording: rules for docstrings, comments and prompts, and figures about prose.

`python -m tests.wording` prints each breach, and fails if there is one; `--figures` adds figures.
Readers skim and search: a docstring that opens with a verb, and a comment that opens with its
subject, are understood at first sight.
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from tests.matrix import FULLEST, TEMPLATE
from tests.project import Project

# Files whose comments begin with a hash.
HASH_COMMENTS = re.compile(r"(\.ya?ml|\.toml|\.env\.example|ignore|Dockerfile|Makefile|run)$")
HIDDEN_FOLDERS = {".ci", ".github"}

# A docstring of a function begins with one of these.
VERBS = set((Path(__file__).parent / "verbs.txt").read_text("utf-8").split())
# Clauses and pronouns hide the subject until the sentence is over.
CLAUSES = {"How", "It", "Of", "That", "What", "When", "Where", "Whether", "Which", "Who", "Whose"}
# A comment may say when or where its code applies.
NO_SUBJECT = {"It", "Of", "Others", "So", "That", "Then", "Those", "What", "Whether", "Who"}
# Services that deleted their example lack these fixtures: new words would be a conflict.
KEPT = {("conftest.py", "ann"), ("conftest.py", "bob")}
# Longest lines of a question in a terminal of 80 columns: the question, its consequence, a choice.
MAX_QUESTION, MAX_CONSEQUENCE, MAX_CHOICE = 70, 77, 75

# Rules that ruff ignores, the line that names an interpreter, and tags of Jinja.
_FOR_PROGRAMS = re.compile(r"\s*noqa: |!/| \{%")
_WORD = re.compile(r"[A-Za-z]+(?:['’][a-z]+)?")


@dataclass(frozen=True)
class Text:
    """Piece of prose: a docstring, a block of comments, a document."""

    path: Path
    line: int
    kind: str
    text: str

    @property
    def opening(self) -> str:
        """First word."""
        found = _WORD.search(self.text)
        return found[0] if found else ""


def breaches(root: Path) -> list[str]:
    """Return a sentence for each breach of a rule in a repository."""
    found = [
        f"{text.path.relative_to(root)}:{text.line}: {problem}"
        for text in texts(root)
        if (problem := _problem(text))
    ]
    return found + list(_prompts(root))


def _problem(text: Text) -> str:
    word = text.opening
    if text.kind == "function" and word.lower() not in VERBS:
        return f"begin the docstring with a verb, not {word!r} (verbs are in tests/verbs.txt)"
    if text.kind == "object" and word in CLAUSES:
        return f"begin the docstring with a noun, not {word!r}"
    if text.kind == "comment" and word in NO_SUBJECT:
        return f"begin the comment with its subject, not {word!r}"
    return ""


def _prompts(root: Path) -> Iterator[str]:
    questions = yaml.safe_load((root / "copier.yml").read_text("utf-8"))
    for name, question in questions.items():
        if name.startswith("_") or not isinstance(question, dict) or "help" not in question:
            continue
        first, *others = question["help"].splitlines()
        choices = question.get("choices", ())
        for line, limit in (
            (first, MAX_QUESTION),
            *((line, MAX_CONSEQUENCE) for line in others),
            *((str(choice), MAX_CHOICE) for choice in choices),
        ):
            if len(line) > limit:
                yield f"copier.yml: {name}: at most {limit} characters, not {len(line)}: {line}"


def texts(root: Path) -> Iterator[Text]:
    """Yield the prose of a repository, or of a rendered service."""
    for path in sorted(root.rglob("*")):
        inner = path.relative_to(root)
        if not path.is_file() or any(map(_is_skipped, inner.parts[:-1])):
            continue
        if path.suffix == ".py":
            source = path.read_text("utf-8")
            yield from _docstrings(path, source)
            yield from _python_comments(path, source)
        elif path.suffix == ".md" and path.name != "CHANGELOG.md":
            yield Text(path, 1, "document", _without_code(path.read_text("utf-8")))
        elif HASH_COMMENTS.search(path.name):
            lines = path.read_text("utf-8").splitlines()
            comments = [
                (number, line.strip()[1:])
                for number, line in enumerate(lines, 1)
                if line.lstrip().startswith("#") and not re.match(r"#[A-Z_]+=", line)
            ]
            yield from _blocks(path, comments)


def _is_skipped(folder: str) -> bool:
    hidden = folder.startswith(".") and folder not in HIDDEN_FOLDERS
    return hidden or folder in {"__pycache__", "demo"}


def _docstrings(path: Path, source: str) -> Iterator[Text]:
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        text = ast.get_docstring(node)
        if not text or (path.name, getattr(node, "name", "")) in KEPT:
            continue
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not any(
            "property" in ast.unparse(decorator) for decorator in node.decorator_list
        )
        line = 1 if isinstance(node, ast.Module) else node.lineno
        yield Text(path, line, "function" if is_function else "object", text)


def _python_comments(path: Path, source: str) -> Iterator[Text]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = [
        (token.start[0], token.string[1:]) for token in tokens if token.type == tokenize.COMMENT
    ]
    yield from _blocks(path, comments)


def _blocks(path: Path, comments: list[tuple[int, str]]) -> Iterator[Text]:
    """Yield comments on lines that follow each other as one text."""
    block: list[str] = []
    first = last = 0
    for number, comment in [*comments, (0, "")]:
        if block and number != last + 1:
            yield Text(path, first, "comment", " ".join(block))
            block = []
        if number and not _FOR_PROGRAMS.match(comment):
            first = first if block else number
            last = number
            block.append(comment.strip())


def _without_code(markdown: str) -> str:
    """Return the prose of a document: no code, tables' figures, links' targets or tags."""
    markdown = re.sub(r"^```.*?^```$", "", markdown, flags=re.MULTILINE | re.DOTALL)
    for pattern in (
        r"^# \{%.*$",
        r"^(    |\t).*$",
        r"\{\{.*?\}\}",
        r"<!--.*?-->",
        r"`[^`\n]*`",
        r"\]\([^)]*\)",
    ):
        markdown = re.sub(pattern, "", markdown, flags=re.MULTILINE)
    return markdown


@dataclass
class Figures:
    """Measured wording of a repository or a service."""

    functions: int
    without_verb: int
    words: int
    its: int
    whats: int

    @classmethod
    def of(cls, root: Path) -> "Figures":
        """Measure."""
        found = list(texts(root))
        functions = [text for text in found if text.kind == "function"]
        words = [word.lower() for text in found for word in _WORD.findall(text.text)]
        return cls(
            functions=len(functions),
            without_verb=sum(text.opening.lower() not in VERBS for text in functions),
            words=len(words),
            its=words.count("it"),
            whats=words.count("what"),
        )

    def row(self, name: str) -> str:
        """Return a line of the table."""
        share = self.without_verb / (self.functions or 1)
        its, whats = (1_000 * count / (self.words or 1) for count in (self.its, self.whats))
        return f"{name:<18}{self.functions:>11}{share:>9.1%}{self.words:>9}{its:>8.1f}{whats:>8.1f}"


def main(arguments: list[str]) -> int:
    """Print breaches, and figures if asked; return 1 if there is a breach."""
    found = breaches(TEMPLATE)
    print(*found, sep="\n", end="\n" if found else "")
    if "--figures" in arguments:
        print(f"{'':<18}{'docstrings':>11}{'without':>9}{'words':>9}{'it':>8}{'what':>8}")
        print(f"{'':<18}{'(functions)':>11}{'a verb':>9}{'':>9}{'/1,000':>8}{'/1,000':>8}")
        print(Figures.of(TEMPLATE).row("this repository"))
        with TemporaryDirectory() as folder:
            service = Project.render(TEMPLATE, Path(folder) / "service", FULLEST)
            print(Figures.of(service.folder).row("fullest service"))
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
