"""Whoever was made by a release comes to the present: nothing is lost, and nothing conflicts."""

import re
import shutil
import subprocess
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest
from copier_fastapi.example import without_fixtures
from copier_fastapi.merge import FORMER_MARKER, MARKER

from tests.matrix import FULLEST, SMALLEST, TEMPLATE, Answers, choices, label, pairwise, questions
from tests.project import CommandError, Project, execute
from tests.test_hooks import TOOL, USER, contents, delete_example, update
from tests.test_update import commit, copier, git

PRESENT = "v1000.0.0"
ROUTER = '''"""The HTTP interface of orders."""

from fastapi import APIRouter

router = APIRouter(prefix="/api/v1/orders", tags=["orders"])


@router.get("")
async def list_orders() -> list[str]:
    """All of them."""
    return []
'''


def recorded() -> dict[str, str]:
    """Return the commit of each release; where only the last commits are there, of those."""
    lines = (TEMPLATE / "RELEASES").read_text().splitlines()
    releases = dict(line.split() for line in lines if not line.startswith("#"))
    return {tag: commit for tag, commit in releases.items() if is_there(commit)}


def is_there(commit: str) -> bool:
    """Return whether this checkout has a commit."""
    return here("cat-file", "-e", commit).returncode == 0


def here(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Git in this checkout, which may be trusted by its user's own settings."""
    command = ["git", *arguments]
    return subprocess.run(command, cwd=TEMPLATE, capture_output=True, text=True, check=False)


def name(given: str | Answers | Callable[[Path], None]) -> str:
    """Return what a release, a service, or what is done with it, is called."""
    if isinstance(given, str):
        return given
    return given.__name__ if callable(given) else label(given)


@pytest.fixture(scope="module")
def repository(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template with its releases, and the present as the newest of them."""
    folder = tmp_path_factory.mktemp("releases") / "copier-fastapi"
    cloned = here("clone", "--quiet", "--no-tags", str(TEMPLATE), str(folder))
    assert cloned.returncode == 0, cloned.stderr
    for tag, made_of in recorded().items():
        git(folder, "tag", tag, made_of)
    git(folder, "rm", "-r", "--quiet", ".")
    shutil.copytree(template, folder, dirs_exist_ok=True)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message=The present")
    git(folder, "tag", PRESENT)
    return folder


def made(repository: Path, folder: Path, tag: str, answers: Answers) -> Project:
    """Make a service by a release; what that did not ask is ignored."""
    # The default of each release is another.
    answers = {"python_version": "3.13", **answers}
    data = [f"--data={name}={answer}" for name, answer in answers.items()]
    url = f"git+file://{repository}"
    copier(folder.parent, "copy", "--defaults", f"--vcs-ref={tag}", *data, url, folder.name)
    return Project(folder, answers)


def work(folder: Path) -> None:
    """Do what users do: a domain, a package, a setting, middleware, edits, a deletion."""
    domain = folder / "app/domains/orders"
    domain.mkdir()
    (domain / "__init__.py").write_text('"""Orders."""\n')
    (domain / "router.py").write_text(ROUTER)
    text = (folder / "app/settings.py").read_text()
    marker = MARKER if MARKER in text else FORMER_MARKER
    own = f"    {marker}\n"
    for path, place, line in (
        ("pyproject.toml", own, '    "tzdata",\n'),
        ("app/settings.py", own, "    orders_per_page: int = Field(default=10, ge=1)\n"),
        (".env.example", f"{marker}\n", "#ORDERS_PER_PAGE=10\n"),
        ("app/main.py", f"body_bytes)\n{own}", "    app.add_middleware(GZipMiddleware)\n"),
        (
            "app/main.py",
            "from fastapi import FastAPI\n",
            "from fastapi.middleware.gzip import GZipMiddleware\n",
        ),
        ("tests/test_contracts.py", own, '    ("get", "/api/v1/orders"),\n'),
        ("app/domains/users/service.py", '"""The rules of users."""\n', "\n# As we know them.\n"),
    ):
        text = (folder / path).read_text()
        assert place in text, path
        (folder / path).write_text(text.replace(place, place + line, 1))
    next(folder.rglob("test_hostile.py")).unlink()


def work_without_the_example(folder: Path) -> None:
    """Delete the example, and begin with a domain."""
    text = (folder / "README.md").read_text()
    if "    rm -r " in text:
        execute(["bash", "-c", text[text.index("    rm -r ") :].partition("\n\n")[0]], folder)
        conftest = folder / "tests/conftest.py"
        conftest.write_text(without_fixtures(conftest.read_text()))
    else:
        commit(folder, "Begin")
        delete_example(folder)
    (folder / "app/domains/orders").mkdir()
    (folder / "app/domains/orders/router.py").write_text(ROUTER)


def journeys() -> list[tuple[str, Answers, Callable[[Path], None]]]:
    """Return releases, services and what is done with them.

    Services of the newest release have any two answers together; older ones take turns, so that
    the time does not grow with each release. The smallest and the fullest keep the example.
    """
    kinds = [work, work, *[work_without_the_example, work] * len(pairwise())]
    pairs = list(zip(pairwise(), kinds, strict=False))
    *older, newest = list(recorded()) or [PRESENT]
    return [
        *(
            (tag, *pairs[(2 + 3 * turn + number) % len(pairs)])
            for turn, tag in enumerate(older)
            for number in range(3)
        ),
        *((newest, *pair) for pair in pairs),
    ]


@pytest.mark.parametrize(("tag", "answers", "work"), journeys(), ids=name)
def test_a_service_of_a_release_comes_to_the_present(
    repository: Path, tmp_path: Path, tag: str, answers: Answers, work: Callable[[Path], None]
) -> None:
    service = made(repository, tmp_path / "service", tag, answers)
    git(service.folder, "init", "--quiet", "--initial-branch=main")
    work(service.folder)
    commit(service.folder, "Work")
    fresh = made(repository, tmp_path / "fresh", PRESENT, answers)
    git(fresh.folder, "init", "--quiet")
    work(fresh.folder)

    execute([*TOOL, "--no-checks"], service.folder, **USER)
    assert contents(service.folder) == contents(fresh.folder)


@pytest.mark.parametrize("tag", recorded() or [PRESENT])
def test_the_updater_of_a_release_conflicts_beside_the_former_marker_only(
    repository: Path, tmp_path: Path, tag: str
) -> None:
    service = made(repository, tmp_path / "service", tag, FULLEST)
    git(service.folder, "init", "--quiet", "--initial-branch=main")
    work(service.folder)
    commit(service.folder, "Work")
    fresh = made(repository, tmp_path / "fresh", PRESENT, FULLEST)
    work(fresh.folder)
    with pytest.raises(CommandError):
        update(service.folder)
    conflicts = re.compile(rb"<<<<<<< [^\n]*\n(.*?)=======\n(.*?)>>>>>>> [^\n]*\n", re.DOTALL)
    resolved = {
        path: conflicts.sub(lambda each: each[2] + each[1].partition(b"\n")[2], text)
        for path, text in contents(service.folder).items()
    }
    assert resolved == contents(fresh.folder)


@pytest.mark.parametrize("answers", [SMALLEST, FULLEST], ids=label)
@pytest.mark.parametrize("tag", [*recorded(), PRESENT])
def test_no_edit_is_lost_whatever_the_update_does(
    repository: Path, tmp_path: Path, tag: str, answers: Answers
) -> None:
    """Every file is edited; then all answers become others."""
    service = made(repository, tmp_path / "service", tag, answers)
    git(service.folder, "init", "--quiet")
    marks = set()
    for path in contents(service.folder).keys() - {".copier-answers.yml"}:
        file = service.folder / path
        first, last = f"# My first line of {path}\n", f"# My last line of {path}\n"
        file.write_text(first + file.read_text() + last)
        marks |= {first.encode(), last.encode()}
    commit(service.folder, "Edit everything")

    others = {**(FULLEST if answers == SMALLEST else SMALLEST), "container": False, "ci": "gitlab"}
    with pytest.raises(CommandError):
        update(service.folder, *(f"{name}={answer}" for name, answer in others.items()))
    found = b"\n".join(contents(service.folder).values())
    assert not sorted(mark for mark in marks if mark not in found)


@pytest.mark.parametrize("tag", recorded() or [PRESENT])
def test_what_a_release_began_is_undone_by_the_present(
    repository: Path, tmp_path: Path, tag: str
) -> None:
    """An update brings a newer update, which then goes back."""
    service = made(repository, tmp_path / "service", tag, FULLEST)
    git(service.folder, "init", "--quiet")
    commit(service.folder, "Start")
    before = contents(service.folder)
    update(service.folder, "container=false")
    update(service.folder, "--abort")
    assert contents(service.folder) == before


@pytest.mark.parametrize("switched", [name for name in questions() if choices(questions()[name])])
def test_each_part_is_switched_off_and_on(repository: Path, tmp_path: Path, switched: str) -> None:
    service = made(repository, tmp_path / "service", PRESENT, FULLEST)
    git(service.folder, "init", "--quiet")
    commit(service.folder, "Start")
    before = contents(service.folder)
    first = service.answers.get(switched, questions()[switched]["default"])
    for answer in [*(each for each in choices(questions()[switched]) if each != first), first]:
        with (
            suppress(CommandError) if answer == "none" and switched == "cpu_jobs" else nullcontext()
        ):
            # It says that the revision of jobs stays.
            update(service.folder, f"{switched}={answer}")
        commit(service.folder, f"{switched}={answer}")
        fresh = made(repository, tmp_path / str(answer), PRESENT, {**FULLEST, switched: answer})
        stays = {path: text for path, text in before.items() if path.startswith("migrations/")}
        assert contents(service.folder) == {**stays, **contents(fresh.folder)}
    assert contents(service.folder) == before


def test_what_users_do_passes_the_checks_and_tests(repository: Path, tmp_path: Path) -> None:
    """The update says so by itself: with another server, to have something to update."""
    service = made(repository, tmp_path / "service", PRESENT, SMALLEST)
    work(service.folder)
    git(service.folder, "init", "--quiet")
    service.run("uv", "lock")
    commit(service.folder, "Work")
    printed = service.run("uv", "run", "poe", "update", "server=gunicorn", **USER)
    assert f"Of {PRESENT} still, with server=gunicorn." in printed
    assert "- uv run poe test" in printed
    assert "do not pass" not in printed
    assert (service.folder / "gunicorn.conf.py").exists()


def test_to_copy_again_changes_nothing(repository: Path, tmp_path: Path) -> None:
    service = made(repository, tmp_path / "service", PRESENT, {})
    before = contents(service.folder)
    copier(service.folder, "recopy", "--defaults", "--overwrite", f"--vcs-ref={PRESENT}")
    assert contents(service.folder) == before


@pytest.mark.parametrize(
    ("version", "prepare", "sentence"),
    [
        ("1.2", lambda _: None, "Say which: make release VERSION=1.2.0"),
        ("0.99.0", lambda _: None, "Give CHANGELOG.md a section"),
        ("0.99.0", lambda folder: (folder / "new").touch(), "Commit what you have changed"),
    ],
)
def test_a_release_that_is_not_ready_is_refused(
    repository: Path, version: str, prepare: Callable[[Path], None], sentence: str, tmp_path: Path
) -> None:
    folder = shutil.copytree(repository, tmp_path / "copier-fastapi")
    prepare(folder)
    with pytest.raises(CommandError, match=sentence):
        execute(["make", "release", f"VERSION={version}"], folder)
    assert "0.99" not in git(folder, "tag")
