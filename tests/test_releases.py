"""Updates from every release to the present version: no edit is lost, nothing conflicts."""

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
ROUTER = '''"""HTTP interface of orders."""

from fastapi import APIRouter

router = APIRouter(prefix="/api/v1/orders", tags=["orders"])


@router.get("")
async def list_orders() -> list[str]:
    """Return all orders."""
    return []
'''


def recorded() -> dict[str, str]:
    """Return the commit of each release that this checkout has: a shallow clone lacks some."""
    lines = (TEMPLATE / "RELEASES").read_text().splitlines()
    releases = dict(line.split() for line in lines if not line.startswith("#"))
    return {tag: commit for tag, commit in releases.items() if is_there(commit)}


def is_there(commit: str) -> bool:
    """Return whether this checkout has a commit."""
    return here("cat-file", "-e", commit).returncode == 0


def here(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Git in this checkout with the user's settings, which may declare the folder safe."""
    command = ["git", *arguments]
    return subprocess.run(command, cwd=TEMPLATE, capture_output=True, text=True, check=False)


def name(given: str | Answers | Callable[[Path], None]) -> str:
    """Return the test id of a release, of a service's answers or of a kind of work."""
    if isinstance(given, str):
        return given
    return given.__name__ if callable(given) else label(given)


@pytest.fixture(scope="module")
def repository(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the template's repository, with the present version as the newest release."""
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
    """Render a service from a release, which ignores answers to questions that it lacks."""
    # Each release has another default version of Python.
    answers = {"python_version": "3.13", **answers}
    return Project.render(f"git+file://{repository}", folder, answers, vcs_ref=tag)


def work(folder: Path) -> None:
    """Work as a user: add a domain, package, setting, middleware; edit and delete files."""
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
    """Delete the example, then add a domain."""
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
    """Return combinations of a release, a service's answers and a kind of work.

    Services of the newest release cover each pair of answers. Each older release gets three of
    them, to bound the time. The smallest and the fullest service keep the example.
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
def test_update_from_a_release_equals_a_fresh_service(
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
    merged, expected = contents(service.folder), contents(fresh.folder)
    marked = {path for path, text in merged.items() if b"<<<<<<< " in text}
    assert marked
    assert all(MARKER.encode() in expected[path] for path in marked)
    for path in marked:
        assert set(expected[path].splitlines()) <= set(merged.pop(path).splitlines())
        del expected[path]
    assert merged == expected


@pytest.mark.parametrize("tag", recorded())
def test_edits_in_renamed_functions_follow_them(repository: Path, tmp_path: Path, tag: str) -> None:
    service = made(repository, tmp_path / "service", tag, FULLEST)
    git(service.folder, "init", "--quiet")
    edits = {
        "cache.py": ("    async def drop(", "cache/store.py"),
        "repository.py": ("    async def lock(", "database/repository.py"),
        "bulkhead.py": ("    async def place(", "bulkhead.py"),
    }
    for path, (function, _) in edits.items():
        file = service.folder / "app/core" / path
        before, after = file.read_text().split(function)
        signature, docstring, body = after.split("\n", 2)
        mine = f"        # My line in {path}."
        file.write_text(f"{before}{function}{signature}\n{docstring}\n{mine}\n{body}")
    commit(service.folder, "Edit functions")
    with pytest.raises(CommandError, match="Conflicts"):
        execute([*TOOL, "--no-checks"], service.folder, **USER)
    for path, (_, present) in edits.items():
        merged = (service.folder / "app/core" / present).read_text()
        assert f"# My line in {path}.\n" in merged
        assert "<<<<<<< " in merged


@pytest.mark.parametrize("answers", [SMALLEST, FULLEST], ids=label)
@pytest.mark.parametrize("tag", [*recorded(), PRESENT])
def test_no_edit_is_lost_when_all_answers_change(
    repository: Path, tmp_path: Path, tag: str, answers: Answers
) -> None:
    """Edit every file, then change all answers."""
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
def test_update_by_a_released_script_can_be_undone(
    repository: Path, tmp_path: Path, tag: str
) -> None:
    """Update with the release's script, then undo with the tool that replaced the script."""
    service = made(repository, tmp_path / "service", tag, FULLEST)
    git(service.folder, "init", "--quiet")
    commit(service.folder, "Start")
    before = contents(service.folder)
    update(service.folder, "container=false")
    update(service.folder, "--abort")
    assert contents(service.folder) == before


@pytest.mark.parametrize("switched", [name for name in questions() if choices(questions()[name])])
def test_changed_answers_can_be_restored(repository: Path, tmp_path: Path, switched: str) -> None:
    service = made(repository, tmp_path / "service", PRESENT, FULLEST)
    git(service.folder, "init", "--quiet")
    commit(service.folder, "Start")
    before = contents(service.folder)
    first = service.answers.get(switched, questions()[switched]["default"])
    for answer in [*(each for each in choices(questions()[switched]) if each != first), first]:
        with (
            suppress(CommandError) if answer == "none" and switched == "cpu_jobs" else nullcontext()
        ):
            # The update fails with a hint that the revision of jobs stays.
            update(service.folder, f"{switched}={answer}")
        commit(service.folder, f"{switched}={answer}")
        fresh = made(repository, tmp_path / str(answer), PRESENT, {**FULLEST, switched: answer})
        stays = {path: text for path, text in before.items() if path.startswith("migrations/")}
        assert contents(service.folder) == {**stays, **contents(fresh.folder)}
    assert contents(service.folder) == before


def test_update_runs_checks_and_tests_on_users_work(repository: Path, tmp_path: Path) -> None:
    """Change the server, so that the update has changes to check."""
    service = made(repository, tmp_path / "service", PRESENT, SMALLEST)
    work(service.folder)
    git(service.folder, "init", "--quiet")
    service.run("uv", "lock")
    commit(service.folder, "Work")
    printed = service.run("uv", "run", "poe", "update", "server=gunicorn", **USER)
    assert f"Staying at {PRESENT}, with server=gunicorn." in printed
    assert "- uv run poe test" in printed
    assert "Failed checks" not in printed
    assert (service.folder / "gunicorn.conf.py").exists()


def test_recopy_changes_nothing(repository: Path, tmp_path: Path) -> None:
    service = made(repository, tmp_path / "service", PRESENT, {})
    before = contents(service.folder)
    copier(service.folder, "recopy", "--defaults", "--overwrite", f"--vcs-ref={PRESENT}")
    assert contents(service.folder) == before


@pytest.mark.parametrize(
    ("version", "prepare", "sentence"),
    [
        ("1.2", lambda _: None, "VERSION is not of the form 1.2.0"),
        ("0.99.0", lambda _: None, "CHANGELOG.md lacks a section"),
        ("0.99.0", lambda folder: (folder / "new").touch(), "Uncommitted changes"),
    ],
)
def test_make_release_refuses_an_unready_release(
    repository: Path, version: str, prepare: Callable[[Path], None], sentence: str, tmp_path: Path
) -> None:
    folder = shutil.copytree(repository, tmp_path / "copier-fastapi")
    prepare(folder)
    with pytest.raises(CommandError, match=sentence):
        execute(["make", "release", f"VERSION={version}"], folder)
    assert "0.99" not in git(folder, "tag")
