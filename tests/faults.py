"""Mutation tests: each fault, planted in a copy of the template, must make a test fail.

python -m tests.faults                   every fault
python -m tests.faults undeclared stale  faults whose names begin with these words
python -m tests.faults --list            a description of each, and the command that finds it
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
# `make test` does not run this service.
UNCOVERED = "sqlalchemy=sync database=postgresql redis_cache=True cpu_jobs=celery server=gunicorn"
STATIC = "tests/test_static.py::test_types_contracts_and_packages_are_right"
RUNS = "tests/test_runtime.py::test_a_service_passes_the_steps_of_its_ci"


@dataclass(frozen=True)
class Fault:
    """Change that breaks something, and the test that must fail because of the change."""

    name: str
    what: str
    file: str
    # `instead` replaces `there`, which must occur; an empty `there` appends `instead` to the file.
    there: str
    instead: str
    test: Sequence[str]
    says: str
    # This command finds the fault: `make test`, or only `make test-all`.
    found_by: str = "make test"


def runs(service: str) -> list[str]:
    """Return the test that runs the CI steps of a service."""
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
        "code that ruff would reformat",
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
        ["tests/test_render.py", "-k", "excluded_path"],
        "gunicorns",
    ),
    Fault(
        "trust",
        "a Copier task, which requires --trust from every user",
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
        "an import that breaks the layers, in one part",
        "template/app/domains/users/cached.py",
        "from app.core.cache.store import",
        "from app.domains.users.router import router as _router  # noqa: F401\n"
        "from app.core.cache.store import",
        [f"{STATIC}[{CACHED}]"],
        "BROKEN",
    ),
    Fault(
        "wrong-room",
        "an import from a package of core into a higher one",
        "template/app/core/database/migration_lock.py",
        "from app.settings import",
        "from app.core.http.health import router as _router  # noqa: F401\n"
        "from app.settings import",
        [f"{STATIC}[{UNCOVERED}]"],
        "Packages of core",
    ),
    Fault(
        "unreadable-source",
        "a Python file in template/ that is not valid Python",
        "template/app/core/http/etags.py",
        "def etag(",
        'def {{ "etag" }}(',
        ["tests/test_reading.py"],
        "SyntaxError",
    ),
    Fault(
        "untyped-source",
        "a wrong type in a plain file of template/",
        "template/app/core/bulkhead.py",
        "",
        '\n\ndef wrong() -> int:\n    """Return a number."""\n    return "one"\n',
        ["tests/test_static.py", "-k", "plain"],
        "bulkhead",
    ),
    Fault(
        "undeclared",
        "a package that one combination imports but does not declare",
        "template/pyproject.toml",
        '{% if database == "postgresql" and (sqlalchemy == "sync" or cpu_jobs == "celery") %}\n'
        '    "psycopg',
        '{% if database == "postgresql" and (sqlalchemy == "sync") %}\n    "psycopg',
        ["tests/test_static.py", "-k", "packages and async and postgresql and celery"],
        "psycopg",
    ),
    Fault(
        "other-interface",
        "an OpenAPI document that differs in one mode",
        "template/app/domains/users/router.py",
        'router = APIRouter(prefix="/api/v1/users", tags=["users"])',
        'router = APIRouter(prefix="/api/v1/users", tags=["users", "{{ sqlalchemy }}"])',
        ["tests/test_static.py", "-k", "same_interface"],
        "assert",
    ),
    Fault(
        "fails-at-import",
        "a module that raises at import, for two answers combined",
        "template/app/core/cache/threads.py",
        '"""',
        'assert not __debug__\n"""',
        ["tests/test_static.py", "-k", "same_interface"],
        "AssertionError",
    ),
    Fault(
        "bad-answer",
        "an accepted project name that breaks the service",
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
        "All layers use the same mode, from the route to the database driver.",
        "All layers use the same mode, from the route to the driver, and no layer uses another.",
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
        "a diagram in the documentation that differs from the service",
        "docs/structure.md",
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
        "test_env_example_shows",
    ),
    Fault(
        "late-commit",
        "a commit after the response was sent",
        "template/app/core/dependencies.py",
        'Depends(get_write_session, scope="function")',
        "Depends(get_write_session)",
        runs(DEFAULT),
        "failed",
    ),
    Fault(
        "text-with-nul",
        "a NUL character in a text, which PostgreSQL rejects",
        "template/app/core/http/schemas.py",
        "[\\x00-\\x1f",
        "[\\x01-\\x1f",
        runs(DEFAULT),
        "test_hostile|failed",
    ),
    Fault(
        "outage-is-500",
        "a database outage that is answered with 500",
        "template/app/core/database/postgresql.py",
        "OSError",
        "BufferError",
        runs(DEFAULT),
        "failed|error",
    ),
    Fault(
        "stale-cache",
        "a cached value that a commit does not invalidate",
        "template/app/core/dependencies.py",
        "cache.invalidate_on_commit(session)",
        "_ = cache",
        runs(CACHED),
        "failed",
    ),
    Fault(
        "lost-job",
        "a job that is not requeued after its worker was killed",
        "template/app/core/jobs/worker.py",
        "for task in Task.registry:\n            if found",
        "for task in Task.registry[:0]:\n            if found",
        runs(CELERY),
        "test_worker|failed",
    ),
    Fault(
        "hanging-test",
        "a test that hangs until its timeout",
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
        "ours = self._commit(self._remark(self._rename(mine, renamed), marked), base)",
        "ours = self._commit(self._remark(self._rename(before, renamed), marked), base)",
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
        "an image that contains the tests",
        "template/Dockerfile",
        "COPY",
        "COPY tests tests\nCOPY",
        ["tests/test_container.py", "-k", "no_secrets and not celery"],
        "tests|failed",
    ),
    Fault(
        "uncovered",
        "a runtime fault of four answers combined, which no service of `make test` has",
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
    """Change the file of a fault; raises ValueError if the text to replace does not occur."""
    file = copy / fault.file
    text = file.read_text("utf-8")
    if fault.there not in text:
        raise ValueError(f"{fault.name}: {fault.file} has no {fault.there!r}; update the fault")
    file.write_text(
        text.replace(fault.there, fault.instead, 1) if fault.there else text + fault.instead,
        "utf-8",
    )


def is_found(fault: Fault, copy: Path) -> tuple[bool, str]:
    """Run the test of a fault in the copy; return whether the fault was found, and the output."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    with subprocess.Popen(
        [*command, "-o", "log_cli=false", *fault.test],
        cwd=copy,
        # The tests of a service also stop at their first failure.
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
            # pytest stops the servers of the tests after one SIGINT; a second would prevent that.
            process.send_signal(signal.SIGINT)
            process.communicate()
            raise
    return process.returncode == 1 and bool(re.search(fault.says, printed)), printed


def main() -> int:
    """Plant the chosen faults; return an exit code: 0 if each was found."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("names", nargs="*", help="beginnings of the names of faults")
    parser.add_argument("--list", action="store_true", help="describe the faults and exit")
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
            # The first match is a test of the service, or else the test of the template itself.
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
    # The tests list the files of a checkout with Git.
    for command in (["init", "--quiet"], ["add", "--all"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


def say(text: str) -> None:
    """Print a line and flush, so that a pipe shows the line at once."""
    print(text, flush=True)  # noqa: T201 - this is a command


if __name__ == "__main__":
    sys.exit(main())
