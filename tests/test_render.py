"""Every combination of answers, rendered, and validated file by file."""

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

# A service may contain a word, in upper or lower case, only if this condition holds.
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
    # GitHub's workflows contain jobs, too.
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

# ruff has found nothing in these sets of Python and TOML files.
CLEAN: set[frozenset[tuple[str, str]]] = set()


def allowed(answers: Answers) -> frozenset[str]:
    """Return the words that a service with these answers may contain."""
    known = {name: question["default"] for name, question in questions().items()} | dict(answers)
    compiled = {word: environment().compile_expression(rule) for word, rule in WORDS.items()}
    return frozenset(word for word, holds in compiled.items() if holds(**known))


@pytest.mark.parametrize("answers", every_combination(), ids=label)
def test_every_combination_is_clean(answers: Answers, render: Callable[[Answers], Project]) -> None:
    """Validate each file with the tools for its kind; files that services share, only once."""
    project = render(answers)
    files = project.files()
    assert not [f"{name}: {fault}" for name, text in files.items() for fault in faults(name, text)]
    lint(project, files)

    foreign = WORDS.keys() - allowed(answers)
    # The file of answers names every question.
    found = {name: words(name, text) & foreign for name, text in files.items() if name != ANSWERS}
    assert not {name: left for name, left in found.items() if left}

    remembered = yaml.safe_load(files[ANSWERS])
    assert remembered == remembered | answers


@cache
def faults(name: str, text: str) -> list[str]:
    """Return the errors of a file, which do not depend on its service."""
    found = []
    if not text.strip():
        found.append("empty")
    # GitHub's own braces follow a dollar sign.
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
    if name in VALIDATORS and (errors := complaints(name, text)):
        found.append(errors)
    return found


def lint(project: Project, files: dict[str, str]) -> None:
    """Run ruff with a service's settings; many services differ only in files of other kinds."""
    code = frozenset(each for each in files.items() if each[0].endswith((".py", ".toml")))
    if code not in CLEAN:
        for command in ("check", "format --check"):
            ruff = [sys.executable, "-m", "ruff", *command.split(), "--no-cache"]
            execute(ruff, project.folder)
        CLEAN.add(code)


@cache
def words(name: str, text: str) -> frozenset[str]:
    """Return the words that a file, or its name, contains."""
    here = f"{name}\n{text}".lower()
    return frozenset(word for word in WORDS if word.lower() in here)


@pytest.mark.parametrize("answers", covering(), ids=label)
def test_second_render_is_identical(answers: Answers, render: Callable[[Answers], Project]) -> None:
    assert render(answers).files() == render(answers).files()


def test_words_distinguish_all_services() -> None:
    """Require words for each answer: otherwise leftovers of an answer would not be found."""
    services = runtime_product()
    assert len(set(map(allowed, services))) == len(services)


def test_every_word_is_used(render: Callable[[Answers], Project]) -> None:
    """Find each word in a service, as the absence of a misspelt word proves nothing."""
    unseen = set(WORDS)
    while unseen:
        service = max(every_combination(), key=lambda answers: len(allowed(answers) & unseen))
        expected = allowed(service) & unseen
        files = render(service).files()
        assert expected <= set().union(*(words(name, text) for name, text in files.items()))
        unseen -= expected


def test_every_excluded_path_exists(template: Path) -> None:
    """Find misspelt paths in `_exclude`, which would exclude nothing."""
    excluded = yaml.safe_load((template / "copier.yml").read_text())["_exclude"]
    owned = re.findall(r"'(/[^']+)'", "".join(excluded))
    assert owned
    root = template / "template"
    for path in owned:
        assert (root / path[1:]).exists(), path
