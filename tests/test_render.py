"""Every combination of all answers, rendered and looked at."""

import re
import sys
import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import yaml

from tests.matrix import (
    Answers,
    covering,
    environment,
    every_combination,
    label,
    questions,
    runtime_product,
)
from tests.project import Project, execute
from tests.validators import VALIDATORS, complaints

ANSWERS = ".copier-answers.yml"

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

# The Python and TOML files, as a whole, in which ruff has found nothing.
CLEAN: set[frozenset[tuple[str, str]]] = set()


def allowed(answers: Answers) -> frozenset[str]:
    """Return the words that a service with these answers may have."""
    known = {name: question["default"] for name, question in questions().items()} | dict(answers)
    compiled = {word: environment().compile_expression(rule) for word, rule in WORDS.items()}
    return frozenset(word for word, holds in compiled.items() if holds(**known))


@pytest.mark.parametrize("answers", every_combination(), ids=label)
def test_every_combination_is_clean(answers: Answers, render: Callable[[Answers], Project]) -> None:
    """Every file is read by those who know its kind; what several services share is read once."""
    project = render(answers)
    files = project.files()
    assert not [f"{name}: {fault}" for name, text in files.items() for fault in faults(name, text)]
    lint(project, files)

    foreign = WORDS.keys() - allowed(answers)
    # The answers name every question.
    found = {name: words(name, text) & foreign for name, text in files.items() if name != ANSWERS}
    assert not {name: left for name, left in found.items() if left}

    remembered = yaml.safe_load(files[ANSWERS])
    assert remembered == remembered | answers


@cache
def faults(name: str, text: str) -> list[str]:
    """Return what is wrong with a file, whichever service it belongs to."""
    found = []
    if not text.strip():
        found.append("empty")
    # GitHub's own braces follow a dollar.
    if re.search(r"(?<!\$)\{[{%#]", text):
        found.append("Jinja is left")
    try:
        if name.endswith(".py"):
            compile(text, name, "exec")
        elif name.endswith(".toml"):
            tomllib.loads(text)
        elif name.endswith((".yml", ".yaml")):
            yaml.safe_load(text)
    except (SyntaxError, tomllib.TOMLDecodeError, yaml.YAMLError) as error:
        found.append(str(error))
    if name in VALIDATORS and (said := complaints(name, text)):
        found.append(said)
    return found


def lint(project: Project, files: dict[str, str]) -> None:
    """Check and format the code of a service with its own settings: many differ elsewhere alone."""
    code = frozenset(each for each in files.items() if each[0].endswith((".py", ".toml")))
    if code not in CLEAN:
        for command in ("check", "format --check"):
            ruff = [sys.executable, "-m", "ruff", *command.split(), "--no-cache"]
            execute(ruff, project.folder)
        CLEAN.add(code)


@cache
def words(name: str, text: str) -> frozenset[str]:
    """Return the words that a file, or its name, has."""
    here = f"{name}\n{text}".lower()
    return frozenset(word for word in WORDS if word.lower() in here)


@pytest.mark.parametrize("answers", covering(), ids=label)
def test_a_second_render_is_identical(
    answers: Answers, render: Callable[[Answers], Project]
) -> None:
    assert render(answers).files() == render(answers).files()


def test_every_service_has_words_of_its_own() -> None:
    """An answer without a word could leave anything behind."""
    services = runtime_product()
    assert len(set(map(allowed, services))) == len(services)


def test_every_word_is_used(render: Callable[[Answers], Project]) -> None:
    """A word that no service has proves nothing when it is missing."""
    unseen = set(WORDS)
    while unseen:
        service = max(every_combination(), key=lambda answers: len(allowed(answers) & unseen))
        expected = allowed(service) & unseen
        files = render(service).files()
        assert expected <= set().union(*(words(name, text) for name, text in files.items()))
        unseen -= expected


def test_every_owned_path_exists(template: Path) -> None:
    """A misspelt path in `_exclude` would exclude nothing."""
    excluded = yaml.safe_load((template / "copier.yml").read_text())["_exclude"]
    owned = re.findall(r"'(/[^']+)'", "".join(excluded))
    assert owned
    root = template / "template"
    for path in owned:
        assert (root / path[1:]).exists(), path
