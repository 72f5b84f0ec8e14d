"""Matrix of all services that the template can render, derived from copier.yml."""

import json
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import combinations, cycle
from pathlib import Path
from typing import Any, TypeAlias

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

Answers: TypeAlias = Mapping[str, str | bool | int]
Question: TypeAlias = Mapping[str, Any]

TEMPLATE = Path(__file__).parents[1]

# The answers to these questions change packaging or numbers, but not the code that runs.
NOT_RUNTIME = frozenset({"ci", "container", "gunicorn_settings", "python_version"})

# These services have the fewest and the most parts.
SMALLEST: Answers = {
    "sqlalchemy": "sync",
    "database": "sqlite",
    "redis_cache": False,
    "cpu_jobs": "none",
    "server": "uvicorn",
}
FULLEST: Answers = {
    "sqlalchemy": "async",
    "database": "postgresql",
    "redis_cache": True,
    "cpu_jobs": "celery",
    "server": "gunicorn",
}


def copy_checkout(folder: Path) -> None:
    """Copy the files of this checkout, tracked and new ones, without Git."""
    for name in checkout_files():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(TEMPLATE / name, folder / name)


def checkout_files() -> list[str]:
    """Return the paths of the files of this checkout, tracked and new ones."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=TEMPLATE,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [name for name in listed.stdout.split("\0") if name and (TEMPLATE / name).is_file()]


@cache
def every_combination() -> list[Answers]:
    """Return every combination of answers; python_version changes one sentence, and rotates."""
    pythons = map(str, choices(questions()["python_version"]))
    kept = frozenset({"python_version"})
    combinations = _combinations(list(questions().items()), {}, kept)
    return [
        {**answers, "python_version": python} for answers, python in spread(combinations, pythons)
    ]


@cache
def runtime_product() -> list[Answers]:
    """Return every combination that differs at run time; other questions keep their defaults."""
    return list(_combinations(list(questions().items()), {}, kept=NOT_RUNTIME))


@cache
def pairwise() -> list[Answers]:
    """Return the smallest and fullest services, and more until every pair of answers occurs."""
    return _with_every_pair([SMALLEST, FULLEST])


def extremes() -> list[Answers]:
    """Return the smallest service, the fullest, and a sync one with jobs in a process pool."""
    return [SMALLEST, FULLEST, {**default(), "sqlalchemy": "sync", "cpu_jobs": "process_pool"}]


@cache
def covering() -> list[Answers]:
    """Return the covering set: the services that `make test` runs.

    The set has the default service, each service one answer away from the default, the smallest,
    the fullest, and more services until every possible pair of answers occurs.
    """
    return _with_every_pair([default(), *switches(), SMALLEST, FULLEST])


def default() -> Answers:
    """Return the answers of the default service."""
    return next(each for each in runtime_product() if _differences(each) == 0)


def switches() -> list[Answers]:
    """Return every service that differs from the default one by a single answer at run time."""
    return [answers for answers in runtime_product() if _differences(answers) == 1]


def _differences(answers: Answers) -> int:
    """Count the answers that differ from the defaults."""
    return sum(answer != questions()[name]["default"] for name, answer in answers.items())


def _with_every_pair(chosen: list[Answers]) -> list[Answers]:
    """Add services to the chosen ones until every possible pair of answers occurs."""
    services = runtime_product()

    def pairs(answers: Answers) -> set[Any]:
        return set(combinations(answers.items(), 2))

    missing = set().union(*map(pairs, services)).difference(*map(pairs, chosen))
    while missing:
        best = max(services, key=lambda answers: len(pairs(answers) & missing))
        chosen = [*chosen, best]
        missing -= pairs(best)
    return chosen


def spread(variants: Iterable[Answers], pythons: Iterable[str]) -> list[tuple[Answers, str]]:
    """Pair each variant with a Python version, in rotation."""
    return list(zip(variants, cycle(pythons), strict=False))


def label(answers: Answers) -> str:
    """Return answers in the form of `make variant ANSWERS="…"`."""
    return " ".join(f"{name}={value}" for name, value in answers.items())


@cache
def questions() -> dict[str, Question]:
    """Return the questions of copier.yml in their order."""
    config = yaml.safe_load((TEMPLATE / "copier.yml").read_text("utf-8"))
    return {name: details for name, details in config.items() if not name.startswith("_")}


def choices(question: Question) -> list[str | bool]:
    """Return the choices of a question; an empty list if any text or number is allowed."""
    if question["type"] == "bool":
        return [True, False]
    offered = question.get("choices", [])
    return list(offered.values() if isinstance(offered, dict) else offered)


@cache
def environment() -> Environment:
    """Return a Jinja environment that renders the questions as Copier does."""
    config = yaml.safe_load((TEMPLATE / "copier.yml").read_text("utf-8"))
    return Environment(  # noqa: S701 - renders no HTML
        loader=FileSystemLoader(TEMPLATE),
        extensions=["jinja2_ansible_filters.AnsibleCoreFiltersExtension"],
        **{**config["_envops"], "undefined": StrictUndefined},
    )


def owner_of(name: str) -> str:
    """Return the reason why a project name is reserved, or nothing, as the validator does."""
    answers: Any = environment().get_template("includes/answers.jinja").module
    return str(answers.owner_of(name.lower()))


def _combinations(
    ahead: list[tuple[str, Question]], known: dict[str, Any], kept: frozenset[str]
) -> Iterator[Answers]:
    """Yield combinations of the questions ahead; hidden, kept and free ones keep defaults."""
    if not ahead:
        yield {}
        return
    (name, question), *rest = ahead
    asked = _value(question.get("when", True), known)
    if asked and name not in kept and choices(question):
        for choice in choices(question):
            for answers in _combinations(rest, {**known, name: choice}, kept):
                yield {name: choice, **answers}
    else:
        default = _value(question["default"], known, question["type"])
        yield from _combinations(rest, {**known, name: default}, kept)


def _value(source: object, known: dict[str, Any], type_: str = "bool") -> object:
    """Return a value of copier.yml, rendered with the answers that are known so far."""
    if not isinstance(source, str):
        return source
    text = _compiled(source).render(known)
    return text if type_ == "str" else yaml.safe_load(text)


@cache
def _compiled(source: str) -> Template:
    return environment().from_string(source)


if __name__ == "__main__":
    # The CI reads this matrix: each variant, on one of the supported Python versions.
    pythons = [str(python) for python in choices(questions()["python_version"])]
    variants = spread(runtime_product(), pythons)
    print(json.dumps([{"answers": label(a), "python": python} for a, python in variants]))  # noqa: T201
