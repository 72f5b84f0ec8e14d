"""Validation of answers: bad ones are refused with the fix, odd ones are rendered verbatim."""

import ast
import keyword
import re
import sys
import tomllib
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from markdown_it import MarkdownIt

from tests.matrix import TEMPLATE, Answers, choices, environment, owner_of, questions
from tests.project import CommandError, Project, execute

LETTERS = "(Begin with a letter|Use letters|Use only a-z|Use single)"
LENGTH = "Use at most"
TAKEN = "Add a word: a"
BLANK = "Say what the service is for"
INVISIBLE = "Remove invisible characters"

BAD_NAMES = {
    "": LETTERS,
    " ": LETTERS,
    " Leading": LETTERS,
    "Trailing ": LETTERS,
    "Two  Spaces": LETTERS,
    "---": LETTERS,
    "1e3": LETTERS,
    "2024-01-01": LETTERS,
    "3D Printing": LETTERS,
    "_private": LETTERS,
    ".hidden": LETTERS,
    'Say "hi"': LETTERS,
    "It's": LETTERS,
    "`ls`": LETTERS,
    "a\\b": LETTERS,
    "a/b": LETTERS,
    "../up": LETTERS,
    "/etc/passwd": LETTERS,
    "C:\\Windows": LETTERS,
    "two\nlines": LETTERS,
    "line\n": LETTERS,
    "tab\tbed": LETTERS,
    "nul\0": LETTERS,
    "escape\x1b[31m": LETTERS,
    "next\x85line": LETTERS,
    "separator\u2028": LETTERS,
    "paragraph\u2029": LETTERS,
    "bidi\u202etxt": LETTERS,
    "zero\u200bwidth": LETTERS,
    "no\xa0break": LETTERS,
    "surrogate\udc80": LETTERS,
    "Größe": LETTERS,
    "Служба": LETTERS,
    "сafe": LETTERS,  # The first letter is Cyrillic.
    "サービス": LETTERS,
    "Rocket 🚀": LETTERS,
    "{{ 7 * 7 }}": LETTERS,
    "{% raw %}": LETTERS,
    "$(id)": LETTERS,
    "a;b": LETTERS,
    "a&b": LETTERS,
    "<b>": LETTERS,
    "a" * 51: LENGTH,
    "A" + " a" * 5000: LENGTH,
    "App": TAKEN,
    "app": TAKEN,
    "test": TAKEN,
    "Tests": TAKEN,
    "Migrations": TAKEN,
    "scripts": TAKEN,
    "class": TAKEN,
    "None": TAKEN,
    "True": TAKEN,
    "match": TAKEN,
    "JSON": TAKEN,
    "asyncio": TAKEN,
    "sre-parse": TAKEN,
    "FastAPI": TAKEN,
    "Pydantic Settings": TAKEN,
    "postgres": TAKEN,
}
BAD_SLUGS = {
    **{name: fault for name, fault in BAD_NAMES.items() if name == name.lower()},
    "Upper": LETTERS,
    "two words": LETTERS,
    "under_score": LETTERS,
    "dot.ted": LETTERS,
    "-lead": LETTERS,
    "trail-": LETTERS,
    "double--hyphen": LETTERS,
    "9lives": LETTERS,
}
BAD_DESCRIPTIONS = {
    "": BLANK,
    " \n\t ": BLANK,
    "x" * 501: LENGTH,
    **{
        f"a{chr(code)}b": INVISIBLE
        for code in (
            *(set(range(0x20)) - {0x09, 0x0A}),
            *range(0x7F, 0xA0),
            *(0x061C, 0x200B, 0x200E, 0x200F, 0x2028, 0x2029, 0x202A, 0x202E, 0x2066, 0x2069),
            *(0xD800, 0xDC80, 0xDFFF, 0xFEFF, 0xFFFE, 0xFFFF),
        )
    },
}
BAD_ANSWERS = [
    *[("project_name", name, fault) for name, fault in BAD_NAMES.items()],
    *[("project_slug", slug, fault) for slug, fault in BAD_SLUGS.items()],
    *[("description", text, fault) for text, fault in BAD_DESCRIPTIONS.items()],
    ("python_version", "3.10", "is not in"),
    ("python_version", "3.1", "is not in"),
    ("sqlalchemy", "both", "is not in"),
    ("database", "oracle", "is not in"),
    ("database", "PostgreSQL", "is not in"),
    ("database", "", "is not in"),
]

GOOD_NAMES = {
    "A": "a",
    "My Service": "my-service",
    "Order Service 2": "order-service-2",
    "acme.billing_api-v2": "acme-billing-api-v2",
    "Acme Inc.": "acme-inc",
    "J-._ S": "j-s",
    "a" * 50: "a" * 50,
    "Test Service": "test-service",
}
ODD_DESCRIPTIONS = [
    'It says "hello".',
    "It's ours.",
    """It's "ours" and "theirs".""",
    '"',
    "'",
    '"""',
    "'''\"\"\"'''",
    "C:\\new\\table \\",
    '\\"',
    "{{ project_name }} {% raw %} {# not Jinja #} }}",
    "Line one,\nline two.\n\n- not a list\n1. nor this\n# nor a title\n    nor code",
    "# no title",
    "- no list",
    "+ no list",
    "12. no list",
    "1) no list",
    "> no quote",
    "=== no rule",
    "---",
    "~~~",
    "```",
    "*no* **stress** _at_ __all__ ~~ever~~ `code` $x^2$",
    "[no](link) ![no](image) [^1] <http://example.com> <b>no HTML</b> &amp; &copy;",
    "| no | table |\n|----|-------|",
    "tab\there",
    "  padded  ",
    "Größe, 大きさ, размер, حجم, 🚀, 👩‍👩‍👧, e\u0301, \u00ad, \ue000, \U0010fffd",
    "“quotes” – dashes … and l’apostrophe",
    "yes",
    "null",
    "~",
    "1e3",
    "0o17",
    "2024-01-01",
    "key: value # comment",
    "!!python/object:os.system",
    "&anchor *alias @at %directive ? |",
    "${HOME} $(id) `id` %(x)s {x} \\N{BULLET} \\x41 \\u0041",
    "[tool.ruff]",
    "TODO: S105 password = 'hunter2'",
    "# noqa",
    "</script><!-- -->",
    *["x" * length for length in (76, 81, 86, 91, 96, 101, 500)],
    "字" * 45,
    "word " * 99,
]


BAD_NUMBERS: list[tuple[str, str | int, str]] = [
    ("gunicorn_workers", "", 'Use "auto", or 1 to 99'),
    ("gunicorn_workers", "0", 'Use "auto", or 1 to 99'),
    ("gunicorn_workers", "2n+1", 'Use "auto", or 1 to 99'),
    ("gunicorn_timeout", 1, "Use 5 to 3600 seconds"),
    ("stop_grace", 5, "Use 15 to 3600 seconds"),
    ("gunicorn_graceful_timeout", 30, "Use 10 to 29"),
    ("gunicorn_keep_alive", 0, "Use 1 to 3600 seconds"),
    ("gunicorn_max_requests", 1, "Use 0 or 100 to 10000000"),
    ("gunicorn_max_requests_jitter", 50_001, "Use 0 to 50000"),
]


def describe(answer: str) -> str:
    """Return the name of a test: the start of the answer, in printable characters."""
    return ascii(answer[:30])[1:-1]


@pytest.mark.parametrize("name", questions())
def test_every_question_has_a_default_and_a_check(name: str) -> None:
    """Require a default, which answers the question when an older service is updated."""
    question = questions()[name]
    assert question.keys() >= {"type", "help", "default"}
    assert choices(question) or "validator" in question


@pytest.mark.parametrize(("question", "answer", "fault"), BAD_ANSWERS, ids=describe)
def test_bad_answers_are_refused(
    question: str, answer: str, fault: str, template: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=f"'{question}'.*{fault}") as refused:
        Project.render(template, tmp_path / "service", {question: answer})
    assert len(str(refused.value).splitlines()) == 1
    assert not (tmp_path / "service").exists()


@pytest.mark.parametrize(
    "answer", ["project_name=JSON", "project_slug=Orders", "description=", "database=oracle"]
)
def test_command_line_refuses_bad_answers(answer: str, template: Path, tmp_path: Path) -> None:
    copy = [sys.executable, "-m", "copier", "copy", "--defaults", "--data", answer]
    with pytest.raises(CommandError, match=r"\nValueError: .+\n\Z"):
        execute([*copy, str(template), "service"], tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("question", "answer", "fault"), BAD_NUMBERS)
def test_bad_numbers_are_refused(
    question: str, answer: str | int, fault: str, template: Path, tmp_path: Path
) -> None:
    custom: Answers = {"gunicorn_settings": "custom", question: answer}
    with pytest.raises(ValueError, match=f"'{question}'.*{fault}") as refused:
        Project.render(template, tmp_path / "service", custom)
    assert len(str(refused.value).splitlines()) == 1
    assert not (tmp_path / "service").exists()


def test_custom_numbers_are_the_defaults_of_settings(render: Callable[[Answers], Project]) -> None:
    numbers: dict[str, str | int] = {
        "gunicorn_workers": "7",
        "gunicorn_timeout": 41,
        "stop_grace": 120,
        "gunicorn_graceful_timeout": 110,
        "gunicorn_keep_alive": 620,
        "gunicorn_max_requests": 1234,
        "gunicorn_max_requests_jitter": 99,
    }
    files = render({"gunicorn_settings": "custom", **numbers}).files()
    shown = set(re.findall(r"^#[A-Z_]+=(\d+)$", files[".env.example"], re.MULTILINE))
    parts = "".join(text for name, text in files.items() if name.startswith("app/settings_parts/"))
    defaults = set(re.findall(r"(?:default| )=(?: )?(\d+)", parts))
    used = {str(number) for name, number in numbers.items() if name != "stop_grace"}
    assert used <= shown
    assert used <= defaults
    assert yaml.safe_load(files[".copier-answers.yml"]).items() >= numbers.items()


@pytest.mark.parametrize(("name", "slug"), GOOD_NAMES.items())
def test_slug_is_derived_from_the_name(
    name: str, slug: str, render: Callable[[Answers], Project]
) -> None:
    answers = yaml.safe_load(render({"project_name": name}).files()[".copier-answers.yml"])
    assert (answers["project_name"], answers["project_slug"]) == (name, slug)


@pytest.mark.parametrize("description", ODD_DESCRIPTIONS, ids=describe)
def test_descriptions_are_rendered_verbatim(
    description: str, render: Callable[[Answers], Project]
) -> None:
    project = render({"description": description})
    files = project.files()
    assert yaml.safe_load(files[".copier-answers.yml"])["description"] == description
    assert tomllib.loads(files["pyproject.toml"])["project"]["description"] == description
    assert f"DESCRIPTION = {description!r}" in as_python(files["app/__init__.py"])
    assert squeezed(description) in squeezed(as_text(files["README.md"]))
    for command in ("check", "format --check"):
        ruff = [sys.executable, "-m", "ruff", *command.split(), "--no-cache", "app/__init__.py"]
        execute(ruff, project.folder)


def test_python_literals_are_formatted_like_ruff(tmp_path: Path) -> None:
    literals: Any = environment().get_template("includes/literals.jinja").module
    lines = [f"x = {literals.python(description)}\n" for description in ODD_DESCRIPTIONS]
    (tmp_path / "literals.py").write_text("".join(lines), "utf-8")
    assert len((tmp_path / "literals.py").read_text("utf-8").splitlines()) == len(ODD_DESCRIPTIONS)
    ruff = [sys.executable, "-m", "ruff", "format", "--check", "--isolated", "--no-cache"]
    execute([*ruff, "--line-length=320", "literals.py"], tmp_path)


def as_python(source: str) -> list[str]:
    """Return the statements of a module as `ast.unparse` writes them."""
    return [ast.unparse(statement) for statement in ast.parse(source).body]


def as_text(markdown: str) -> str:
    """Return the text that a reader of rendered Markdown sees."""
    page = Page()
    page.feed(MarkdownIt("gfm-like", {"linkify": False}).render(markdown))
    return page.text


def squeezed(text: str) -> str:
    """Return a text with one blank for each run of white space, as HTML shows text."""
    return " ".join(text.split())


class Page(HTMLParser):
    """Parser that collects the text of an HTML page."""

    text = ""

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, _: object) -> None:
        if tag == "br":
            self.text += "\n"


RESERVED = {
    "Python's standard library": set(sys.stdlib_module_names),
    "Python's keywords": {*keyword.kwlist, *keyword.softkwlist},
    "the service's folders": {
        path.name
        for root in (TEMPLATE / "template", TEMPLATE / "template/app")
        for path in root.iterdir()
        if any(path.rglob("*.py"))
    },
}


@pytest.mark.parametrize("names", RESERVED.values(), ids=RESERVED)
def test_reserved_names_are_refused(names: set[str]) -> None:
    assert not [name for name in names if name[0].isalpha() and not owner_of(name)]
