"""Plant faults in a copy of the template, one at a time, and see that the tests find each.

python -m tests.faults                   every fault
python -m tests.faults undeclared stale  those whose names begin so
python -m tests.faults --list            what each fault is, and which command finds it
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.matrix import copy_checkout

DEFAULT = "sqlalchemy=async database=postgresql redis_cache=False cpu_jobs=none server=gunicorn"
CACHED = DEFAULT.replace("redis_cache=False", "redis_cache=True")
CELERY = DEFAULT.replace("cpu_jobs=none", "cpu_jobs=celery")
SQLITE = DEFAULT.replace("database=postgresql", "database=sqlite")
# One that `make test` does not run.
UNCOVERED = "sqlalchemy=sync database=postgresql redis_cache=True cpu_jobs=celery server=gunicorn"
STATIC = "tests/test_static.py::test_types_contracts_and_packages_are_right"
RUNS = "tests/test_runtime.py::test_a_service_passes_the_steps_of_its_ci"


@dataclass(frozen=True)
class Fault:
    """A change that breaks something, and the test that has to fail because of it."""

    name: str
    what: str
    file: str
    # What is there, which must occur, and what takes its place; nothing there means at the end.
    there: str
    instead: str
    test: Sequence[str]
    says: str
    # Whether `make test` finds it, or `make test-all` alone.
    found_by: str = "make test"


def runs(service: str) -> list[str]:
    """Return the test that runs a service as its CI does."""
    return [f"{RUNS}[{service}]"]


CLEAN = ["tests/test_render.py", "-k", "every_combination_is_clean"]
FAULTS = [
    Fault(
        "left-word",
        "a word of a part that was not chosen",
        "template/README.md",
        "",
        "Answers are kept in Redis.\n",
        CLEAN,
        "redis",
    ),
    Fault(
        "left-jinja",
        "Jinja that was not rendered",
        "template/README.md",
        "",
        "# {% raw %}{{ project_name }}# {% endraw %}\n",
        CLEAN,
        "Jinja is left",
    ),
    Fault(
        "unformatted",
        "code that ruff would format",
        "template/app/core/serving/gunicorn.py",
        "CONFIG_KWARGS = server_config(load_settings())",
        "CONFIG_KWARGS = server_config( load_settings())",
        CLEAN,
        "would be reformatted",
    ),
    Fault(
        "broken-compose",
        "a key that Compose does not know, in one combination",
        "template/compose.yaml",
        "",
        "# {% if database == 'sqlite' %}\nimages: none\n# {% endif %}\n",
        CLEAN,
        "images",
    ),
    Fault(
        "random",
        "a render that differs each time",
        "template/README.md",
        "",
        "{{ range(1000000000) | random }}\n",
        ["tests/test_render.py", "-k", "second_render"],
        "assert",
    ),
    Fault(
        "misspelt-path",
        "a path in _exclude that does not exist",
        "copier.yml",
        "/app/core/serving/gunicorn.py'",
        "/app/core/serving/gunicorns.py'",
        ["tests/test_render.py", "-k", "owned_path"],
        "gunicorns",
    ),
    Fault(
        "trust",
        "a task, for which every user would have to trust the template",
        "copier.yml",
        "_subdirectory: template\n",
        '_subdirectory: template\n_tasks: ["true"]\n',
        ["tests/test_update.py", "-k", "asks_for_no_trust"],
        "_tasks",
    ),
    Fault(
        "missing-import",
        "an import that is missing in one combination",
        "template/app/lifespan.py",
        '# {% if cpu_jobs != "none" %}\nfrom app.core.jobs.runner',
        '# {% if cpu_jobs != "none" and sqlalchemy == "async" %}\nfrom app.core.jobs.runner',
        CLEAN,
        "F821",
    ),
    Fault(
        "wrong-type",
        "a type that is wrong in one mode",
        "template/app/core/dependencies.py",
        "",
        '# {% if sqlalchemy == "sync" %}\n\n\ndef wrong() -> int:\n    """Return a number."""\n'
        '    return "one"\n# {% endif %}\n',
        [f"{STATIC}[{UNCOVERED}]"],
        "return-value",
    ),
    Fault(
        "broken-contract",
        "an import against the layers, in one part",
        "template/app/domains/users/cached.py",
        "from app.core.cache.store import",
        "from app.domains.users.router import router as _router  # noqa: F401\n"
        "from app.core.cache.store import",
        [f"{STATIC}[{CACHED}]"],
        "BROKEN",
    ),
    Fault(
        "wrong-room",
        "an import from a room of core to one above it",
        "template/app/core/database/migration_lock.py",
        "from app.settings import",
        "from app.core.http.health import router as _router  # noqa: F401\n"
        "from app.settings import",
        [f"{STATIC}[{UNCOVERED}]"],
        "rooms of core",
    ),
    Fault(
        "unreadable-source",
        "code in template/ that is in no Python file's own language",
        "template/app/core/http/etags.py",
        "def etag(",
        'def {{ "etag" }}(',
        ["tests/test_reading.py"],
        "SyntaxError",
    ),
    Fault(
        "untyped-source",
        "a plain file of template/ whose types an editor finds wrong",
        "template/app/core/bulkhead.py",
        "",
        '\n\ndef wrong() -> int:\n    """Return a number."""\n    return "one"\n',
        ["tests/test_static.py", "-k", "plain"],
        "bulkhead",
    ),
    Fault(
        "undeclared",
        "a package that is imported, and not declared in one combination",
        "template/pyproject.toml",
        '{% if database == "postgresql" and (sqlalchemy == "sync" or cpu_jobs == "celery") %}\n'
        '    "psycopg',
        '{% if database == "postgresql" and (sqlalchemy == "sync") %}\n    "psycopg',
        ["tests/test_static.py", "-k", "packages and async and postgresql and celery"],
        "psycopg",
    ),
    Fault(
        "other-interface",
        "an interface that differs in one mode",
        "template/app/domains/users/router.py",
        'router = APIRouter(prefix="/api/v1/users", tags=["users"])',
        'router = APIRouter(prefix="/api/v1/users", tags=["users", "{{ sqlalchemy }}"])',
        ["tests/test_static.py", "-k", "same_interface"],
        "assert",
    ),
    Fault(
        "fails-at-import",
        "a module that raises when it is imported, in two answers together",
        "template/app/core/cache/threads.py",
        '"""',
        'assert not __debug__\n"""',
        ["tests/test_static.py", "-k", "same_interface"],
        "AssertionError",
    ),
    Fault(
        "bad-answer",
        "a name that breaks the service, accepted",
        "copier.yml",
        'if not project_name | regex_search("\\\\A[A-Za-z]',
        'if not project_name | regex_search("\\\\A[A-Za-z0-9]',
        ["tests/test_answers.py", "-k", "name or bad or refused"],
        "1e3",
    ),
    Fault(
        "long-question",
        "a question that a terminal of 80 columns cuts off",
        "copier.yml",
        "Every layer goes the same way, from the route to the database driver.",
        "Every layer goes the same way, from the route to the driver, and none goes the other way.",
        ["tests/test_prompts.py", "-k", "every_word"],
        "is not shown",
    ),
    Fault(
        "unquoted",
        "an answer that is not quoted in TOML",
        "template/pyproject.toml",
        "description = {{ toml(description) }}",
        'description = "{{ description }}"',
        ["tests/test_answers.py"],
        "TOML",
    ),
    Fault(
        "stale-picture",
        "a picture in the README that is not the service's",
        "README.md",
        "    router --> service\n",
        "    router --> tasks\n",
        ["tests/test_readme.py"],
        "make draw",
    ),
    Fault(
        "other-ci",
        "a step that one of the two CIs lacks",
        "template/.gitlab-ci.yml",
        "    - uv run poe check\n",
        "",
        ["tests/test_runtime.py", "-k", "gitlab"],
        "poe check",
    ),
    Fault(
        "blocking-route",
        "a route that blocks the event loop",
        "template/app/domains/users/router.py",
        "    user = await service.sign_up(form)\n",
        "    import time\n\n    time.sleep(0.001)\n    user = await service.sign_up(form)\n",
        runs(DEFAULT),
        "Blocking|ASYNC251",
    ),
    Fault(
        "wrong-migration",
        "a migration that leaves out a column, on one database",
        "template/migrations/versions/0001_users.py",
        '        sa.UniqueConstraint("email", name="uq_users_email"),\n',
        '        *([] if op.get_context().dialect.name == "sqlite" else\n'
        '          [sa.UniqueConstraint("email", name="uq_users_email")]),\n',
        runs(SQLITE),
        "uq_users_email|add_constraint|reformatted",
    ),
    Fault(
        "hidden-setting",
        "a setting that .env.example does not show",
        "template/.env.example",
        "#READINESS_TIMEOUT_SECONDS",
        "#READINESS_SECONDS",
        runs(DEFAULT),
        "test_the_example_shows",
    ),
    Fault(
        "late-commit",
        "a commit that comes after the response",
        "template/app/core/dependencies.py",
        'Depends(get_write_session, scope="function")',
        "Depends(get_write_session)",
        runs(DEFAULT),
        "failed",
    ),
    Fault(
        "text-with-nul",
        "a NUL in a text, which PostgreSQL refuses",
        "template/app/core/http/schemas.py",
        "[\\x00-\\x1f",
        "[\\x01-\\x1f",
        runs(DEFAULT),
        "test_hostile|failed",
    ),
    Fault(
        "outage-is-500",
        "an outage of the database that is answered as a fault of the service",
        "template/app/core/database/postgresql.py",
        "OSError",
        "BufferError",
        runs(DEFAULT),
        "failed|error",
    ),
    Fault(
        "stale-cache",
        "a cache that keeps what a commit changed",
        "template/app/core/dependencies.py",
        "cache.invalidate_on_commit(session)",
        "_ = cache",
        runs(CACHED),
        "failed",
    ),
    Fault(
        "lost-job",
        "a job that nobody does after its worker was killed",
        "template/app/core/jobs/worker.py",
        "for task in Task.registry:\n            if found",
        "for task in Task.registry[:0]:\n            if found",
        runs(CELERY),
        "test_worker|failed",
    ),
    Fault(
        "hanging-test",
        "a test that hangs, which is ended and named",
        "template/tests/core/database/test_budget.py",
        "",
        "\n\ndef test_that_hangs() -> None:\n    import threading  # noqa: PLC0415\n\n"
        "    threading.Event().wait()\n",
        runs(DEFAULT),
        "test_that_hangs - Failed: Timeout",
    ),
    Fault(
        "dropped-edit",
        "an update that drops the edits of a file",
        "hooks/copier_fastapi/merge.py",
        "ours = self._commit(self._rename(mine, renamed), base)",
        "ours = self._commit(self._rename(before, renamed), base)",
        ["tests/test_hooks.py", "-k", "edits_follow_a_file"],
        "assert",
    ),
    Fault(
        "half-undone",
        "an aborted update that leaves its branch",
        "hooks/copier_fastapi/update.py",
        '    git("branch", "--quiet", "--delete", snapshot.update_branch, check=False)\n',
        "",
        ["tests/test_hooks.py", "-k", "conflict_is_listed"],
        "assert",
    ),
    Fault(
        "tests-in-image",
        "an image that has the tests in it",
        "template/Dockerfile",
        "COPY",
        "COPY tests tests\nCOPY",
        ["tests/test_container.py", "-k", "secret_gets_anywhere and not celery"],
        "tests|failed",
    ),
    Fault(
        "uncovered",
        "a fault at run time of four answers together, which no covering service has",
        "template/app/core/dependencies.py",
        "    return tokens.read(token)\n",
        '{{ "    if token:\\n        raise Unauthenticated\\n" if sqlalchemy == "sync" and '
        'database == "postgresql" and redis_cache and cpu_jobs == "celery" }}'
        "    return tokens.read(token)\n",
        ["tests/test_runtime.py", f"--service={UNCOVERED}"],
        "failed",
        found_by="make test-all",
    ),
]


def plant(fault: Fault, copy: Path) -> None:
    """Change the file of a fault; raises ValueError if it is no longer what the fault changes."""
    file = copy / fault.file
    text = file.read_text("utf-8")
    if fault.there not in text:
        raise ValueError(f"{fault.name}: {fault.file} has no {fault.there!r}")
    file.write_text(
        text.replace(fault.there, fault.instead, 1) if fault.there else text + fault.instead,
        "utf-8",
    )


def is_found(fault: Fault, copy: Path) -> tuple[bool, str]:
    """Run the test of a fault in the copy; return whether it failed for that, and what it said."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    with subprocess.Popen(
        [*command, "-o", "log_cli=false", *fault.test],
        cwd=copy,
        # The tests of a service end at their first failure, too.
        env={**os.environ, "PYTEST_ADDOPTS": "-x", "PYTHONPATH": str(copy)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            printed, _ = process.communicate()
        except KeyboardInterrupt:
            # Once, so that it stops the servers that it has started.
            process.send_signal(signal.SIGINT)
            process.communicate()
            raise
    return process.returncode == 1 and bool(re.search(fault.says, printed)), printed


def main() -> int:
    """Plant the chosen faults; return an exit code: 0 if each was found."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("names", nargs="*", help="how the names of the faults begin")
    parser.add_argument("--list", action="store_true", help="only say what they are")
    options = parser.parse_args()
    chosen = [each for each in FAULTS if each.name.startswith(tuple(options.names) or "")]
    if options.list:
        for fault in chosen:
            say(f"{fault.name:<17} {fault.what}  ({fault.found_by})")
        return 0
    missed = 0
    with TemporaryDirectory() as folder:
        for number, fault in enumerate(chosen, start=1):
            copy = fresh_copy(Path(folder) / fault.name)
            plant(fault, copy)
            began = time.monotonic()
            found, printed = is_found(fault, copy)
            missed += not found
            if not found:
                say(printed[-6_000:])
            # What failed inside: a test of the service, or else the test of the template itself.
            failed = re.findall(r"(?:FAILED|ERROR) (tests/\S+)", printed)
            verdict = f"found by {fault.found_by}, in {failed[0]}" if found else "NOT FOUND"
            seconds = time.monotonic() - began
            say(f"[{number:>2}/{len(chosen)}] {seconds:4.0f} s  {fault.name}: {verdict}")
            shutil.rmtree(copy)
    say(f"{len(chosen) - missed} passed, {missed} failed")
    return 1 if missed else 0


def fresh_copy(folder: Path) -> Path:
    """Copy the files of this checkout, committed or not, into a repository of their own."""
    copy_checkout(folder)
    # The tests ask Git which files there are.
    for command in (["init", "--quiet"], ["add", "--all"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


def say(text: str) -> None:
    """Print at once, also into a pipe."""
    print(text, flush=True)  # noqa: T201 - this is a command


if __name__ == "__main__":
    sys.exit(main())
