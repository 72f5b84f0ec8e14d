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
    environment,
    every_combination,
    label,
    questions,
    runtime_product,
)
from tests.project import Project, execute
from tests.validators import VALIDATORS, complaints

# Words, in upper case or lower, and the answers of the services that may have them.
WORDS = {
    "aiosqlite": "sqlalchemy == 'async' and database == 'sqlite'",
    "asyncpg": "sqlalchemy == 'async' and database == 'postgresql'",
    "AsyncSession": "sqlalchemy == 'async'",
    "blockbuster": "sqlalchemy == 'async'",
    "threadpool_size": "sqlalchemy == 'sync'",
    "pgserver": "database == 'postgresql'",
    "postgres": "database == 'postgresql'",
    "psycopg": "database == 'postgresql' and (sqlalchemy == 'sync' or cpu_jobs == 'celery')",
    "sqlite": "database == 'sqlite'",
    "cached": "redis_cache",
    "redis_url": "redis_cache",
    "redis": "redis_cache or cpu_jobs == 'celery'",
    "valkey": "redis_cache or cpu_jobs == 'celery'",
    "idempotency": "cpu_jobs != 'none'",
    # GitHub's workflows have jobs, too.
    "jobs": "cpu_jobs != 'none' or ci == 'github'",
    "simulation": "cpu_jobs != 'none'",
    "gunicorn": "server == 'gunicorn'",
    "WEB_CONCURRENCY": "server == 'gunicorn'",
    "One process serves": "server == 'uvicorn'",
    "child_process": "cpu_jobs == 'process_pool'",
    "process_pool": "cpu_jobs == 'process_pool'",
    "broker": "cpu_jobs == 'celery'",
    "celery": "cpu_jobs == 'celery'",
    "kombu": "cpu_jobs == 'celery'",
    "compose": "container",
    "dockerfile": "container",
    ".github": "ci == 'github'",
    ".gitlab": "ci == 'gitlab'",
    "merge request": "ci == 'gitlab'",
    "pull request": "ci == 'github'",
    "renovate": "ci != 'none'",
}

# The code that ruff has found nothing in, by its command.
CLEAN: set[tuple[str, frozenset[tuple[str, str]]]] = set()


def allowed(answers: Answers) -> frozenset[str]:
    """Return the words that a service with these answers may have."""
    known = {name: question["default"] for name, question in questions().items()} | dict(answers)
    compiled = {word: environment().compile_expression(rule) for word, rule in WORDS.items()}
    return frozenset(word for word, holds in compiled.items() if holds(**known))


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


def test_nobody_who_knows_a_file_complains_of_it(project: Project) -> None:
    texts = project.files()
    assert not "".join(complaints(name, texts[name]) for name in VALIDATORS.keys() & texts.keys())


@pytest.mark.parametrize("command", ["check", "format --check"])
def test_ruff_has_nothing_to_say(project: Project, command: str) -> None:
    texts = project.files().items()
    code = frozenset(each for each in texts if each[0].endswith((".py", ".toml")))
    # Many services differ in other files alone.
    if (command, code) not in CLEAN:
        ruff = [sys.executable, "-m", "ruff", *command.split(), "--no-cache"]
        execute(ruff, project.folder)
        CLEAN.add((command, code))


def test_nothing_is_left_of_what_was_not_chosen(project: Project) -> None:
    foreign = sorted(WORDS.keys() - allowed(project.answers))
    found = [
        f"{word} in {name}"
        for name, text in project.files().items()
        for word in foreign
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


def test_every_service_has_words_of_its_own() -> None:
    """An answer without a word could leave anything behind."""
    services = runtime_product()
    assert len(set(map(allowed, services))) == len(services)


@pytest.mark.parametrize("word", WORDS)
def test_every_word_is_used(word: str, render: Callable[[Answers], Project]) -> None:
    """A word that no service has proves nothing when it is missing."""
    service = next(answers for answers in every_combination() if word in allowed(answers))
    assert word.lower() in str(render(service).files()).lower()


def test_every_owned_path_exists(template: Path) -> None:
    """A misspelt path in `_exclude` would exclude nothing."""
    excluded = yaml.safe_load((template / "copier.yml").read_text())["_exclude"]
    owned = re.findall(r"%\}(/.+?)\{%", "".join(excluded))
    assert owned
    root = template / "template"
    for path in owned:
        assert any((root / f"{path[1:]}{suffix}").exists() for suffix in ("", ".jinja")), path
