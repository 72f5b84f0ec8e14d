"""Every combination of all answers, rendered and looked at."""

import re
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.matrix import (
    Answers,
    choices,
    every_combination,
    label,
    questions,
    runtime_product,
)
from tests.project import Project, execute

# Words that only the services which chose an answer have, in upper case or lower.
WORDS: dict[str, dict[str | bool, list[str]]] = {
    "sqlalchemy": {
        "async": ["asyncpg", "aiosqlite", "AsyncSession", "blockbuster"],
        "sync": ["psycopg", "threadpool_size"],
    },
    "database": {
        "postgresql": ["postgres", "asyncpg", "psycopg", "pgserver"],
        "sqlite": ["sqlite"],
    },
    "redis_cache": {
        True: ["redis", "valkey", "cached"],
        False: [],
    },
}


@pytest.fixture(scope="module", params=every_combination(), ids=label)
def project(request: pytest.FixtureRequest, render: Callable[[Answers], Project]) -> Project:
    return render(request.param)


def test_no_jinja_is_left(project: Project) -> None:
    # GitHub's own braces follow a dollar.
    left = {name for name, text in project.files().items() if re.search(r"(?<!\$)\{[{%#]", text)}
    assert not left


def test_no_file_is_empty(project: Project) -> None:
    assert not [name for name, text in project.files().items() if not text.strip()]


def test_every_file_can_be_read_by_its_language(project: Project) -> None:
    for name, text in project.files().items():
        if name.endswith(".py"):
            compile(text, name, "exec")
        elif name.endswith(".toml"):
            tomllib.loads(text)
        elif name.endswith((".yml", ".yaml")):
            yaml.safe_load(text)


@pytest.mark.parametrize("command", ["check", "format --check"])
def test_ruff_has_nothing_to_say(project: Project, command: str) -> None:
    ruff = [sys.executable, "-m", "ruff", *command.split(), "--no-cache"]
    execute(ruff, project.folder)


def test_nothing_is_left_of_what_was_not_chosen(project: Project) -> None:
    foreign = {
        word
        for question, by_answer in WORDS.items()
        for answer, words in by_answer.items()
        if project.answers.get(question) != answer
        for word in words
    }
    found = [
        f"{word} in {name}"
        for name, text in project.files().items()
        for word in sorted(foreign)
        # The answers name every question.
        if name != ".copier-answers.yml"
        and (word.lower() in name.lower() or word.lower() in text.lower())
    ]
    assert not found


def test_answers_are_remembered(project: Project) -> None:
    remembered = yaml.safe_load(project.files()[".copier-answers.yml"])
    assert remembered == remembered | project.answers


def test_a_second_render_is_identical(
    project: Project, render: Callable[[Answers], Project]
) -> None:
    assert render(project.answers).files() == project.files()


def test_every_answer_has_its_words() -> None:
    offered = {name: set(choices(question)) for name, question in questions().items()}
    del offered["python_version"]  # A version is no word.
    assert {name: set(words) for name, words in WORDS.items()} == {
        name: answers for name, answers in offered.items() if answers
    }


@pytest.mark.parametrize(
    ("question", "answer"), [(name, answer) for name in WORDS for answer in WORDS[name]]
)
def test_every_word_is_used(
    question: str, answer: str | bool, render: Callable[[Answers], Project]
) -> None:
    """A word that no service has proves nothing when it is missing."""
    services = [answers for answers in runtime_product() if answers.get(question) == answer]
    text = "".join("".join(render(answers).files().values()) for answers in services).lower()
    assert not [word for word in WORDS[question][answer] if word.lower() not in text]


def test_every_owned_path_exists(template: Path) -> None:
    """A misspelt path in `_exclude` would exclude nothing."""
    excluded = yaml.safe_load((template / "copier.yml").read_text())["_exclude"]
    owned = re.findall(r"%\}(/.+?)\{%", "".join(excluded))
    assert owned
    root = template / "template"
    for path in owned:
        assert any((root / f"{path[1:]}{suffix}").exists() for suffix in ("", ".jinja")), path
