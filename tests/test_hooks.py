"""Update, doctor and set-up of services: no edit is lost, and each update can be undone."""

import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.matrix import FULLEST, SMALLEST, Answers, label
from tests.project import CommandError, Project, clean_environment, execute
from tests.quick_copier import QUICK_COPIER
from tests.test_update import commit, copy, git

COPIER = f"{sys.executable} {QUICK_COPIER}"
TOOL = [sys.executable, QUICK_COPIER, "tool", "update"]
USER = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
}


# This program kills its own process after writing some files, as a crash would.
KILLED = """
import os, shutil, signal
from copier_fastapi.cli import main
copy, done = shutil.copy2, []
def write(*arguments, **options):
    if len(done) == {written}:
        os.kill(os.getpid(), signal.SIGKILL)
    done.append(copy(*arguments, **options))
shutil.copy2 = write
main(["update", "--no-checks"])
"""


# A shell makes background processes ignore SIGINT; this program restores the handler.
INTERRUPTIBLE = """
import signal, sys
from copier_fastapi.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(main(["update", *sys.argv[1:]]))
"""


@pytest.fixture(scope="module")
def releases(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository with two releases: the second edits, renames, adds, deletes files."""
    source = shutil.copytree(template, tmp_path_factory.mktemp("hooks") / "copier-fastapi")
    (source / "CHANGELOG.md").write_text("# Changelog\n\n## [Unreleased]\n")
    git(source, "init", "--quiet")
    commit(source, "One")
    git(source, "tag", "v0.1.0")
    core = source / "template/app/core"
    (core / "http/etags.py").rename(core / "conditions.py")
    edit(core, "conditions.py", at_end="# New.\n")
    (core / "http/pagination.py").unlink()
    edit(core, "bulkhead.py", at_start="# The template's first line.\n")
    (source / "template/app/domains/users/news.py").write_text('"""News."""\n')
    edit(source, "template/.env.example", at_end="# Something new.\n#NEW_SETTING=1\n")
    news = "\n## [9.0.0] - 2027-01-01\n\n### Added\n\n- A line of news.\n"
    edit(source, "CHANGELOG.md", at_end=news)
    commit(source, "Two")
    git(source, "tag", "v0.2.0")
    return source


@pytest.fixture(scope="module")
def first(releases: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a committed service, rendered from the first release."""
    folder = tmp_path_factory.mktemp("first") / "service"
    project = copy(releases, folder, vcs_ref="v0.1.0")
    git(project.folder, "init", "--quiet", "--initial-branch=main")
    commit(project.folder, "Start")
    return project


@pytest.fixture
def service(first: Project, tmp_path: Path) -> Project:
    """Return a copy of the committed service, for one test."""
    return Project(shutil.copytree(first.folder, tmp_path / "service"), first.answers)


def update(folder: Path, *arguments: str) -> str:
    """Update a service without checks, by the tool or, in services of 0.1, their script."""
    command = TOOL
    if (folder / "scripts/update.py").exists():
        command = [sys.executable, "-m", "scripts.update"]
    environment = {"COPIER": COPIER, "PYTHONDONTWRITEBYTECODE": "1", **USER}
    return execute([*command, "--no-checks", *arguments], folder, **environment)


def delete_example(folder: Path) -> str:
    """Delete the example of a service; return the output."""
    return execute([sys.executable, QUICK_COPIER, "tool", "delete-example"], folder, **USER)


def edit(folder: Path, path: str, *, at_start: str = "", at_end: str = "") -> None:
    """Add text to a file, as a user does."""
    file = folder / path
    file.write_text(at_start + file.read_text() + at_end)


def contents(folder: Path) -> dict[str, bytes]:
    """Return the content of every file, except those in `.git`."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        name: path.read_bytes()
        for path in files
        if not (name := path.relative_to(folder).as_posix()).startswith(".git/")
    }


def test_update_without_edits_equals_a_fresh_copy(
    service: Project, releases: Path, tmp_path: Path
) -> None:
    printed = update(service.folder, "--to=0.2.0")
    assert "Updating from v0.1.0 to v0.2.0." in printed
    told = ["Changelog:", "## [9.0.0] - 2027-01-01", "### Added", "- A line of news.\n\n"]
    assert "\n    ".join(told) in printed
    assert contents(service.folder) == contents(copy(releases, tmp_path / "fresh").folder)
    assert git(service.folder, "branch", "--show-current").strip() == "update-v0.2.0"

    commit(service.folder, "Update")
    assert "The service is at v0.2.0 already." in update(service.folder)
    assert not git(service.folder, "status", "--porcelain")


def test_edits_follow_a_file_that_is_renamed(service: Project) -> None:
    edit(service.folder, "app/core/http/etags.py", at_start="# Mine.\n")
    commit(service.folder, "Edit")
    printed = update(service.folder)
    moved = (service.folder / "app/core/conditions.py").read_text()
    assert moved.startswith("# Mine.\n")
    assert moved.endswith("# New.\n")
    assert not (service.folder / "app/core/http/etags.py").exists()
    assert "app/core/http/etags.py -> app/core/conditions.py" in printed


def test_edits_follow_a_move_into_a_deleted_folder(
    releases: Path, service: Project, tmp_path: Path
) -> None:
    """Restore the folder for the moved file only, which the user has edited."""
    source = shutil.copytree(releases, tmp_path / "copier-fastapi")
    template = source / "template/app"
    (template / "core/bulkhead.py").rename(template / "domains/users/bulkhead.py")
    commit(source, "Three")
    git(source, "tag", "v0.3.0")
    answers = service.folder / ".copier-answers.yml"
    answers.write_text(re.sub("_src_path: .*", f"_src_path: {source}", answers.read_text()))
    shutil.rmtree(service.folder / "app/domains/users")
    edit(service.folder, "app/core/bulkhead.py", at_end="# Mine.\n")
    commit(service.folder, "Delete, edit")
    update(service.folder)
    moved = service.folder / "app/domains/users/bulkhead.py"
    assert moved.read_text().endswith("# Mine.\n")
    assert [path.name for path in moved.parent.iterdir()] == ["bulkhead.py"]


def test_edits_of_a_dropped_file_are_kept_in_a_copy(service: Project) -> None:
    edit(service.folder, "app/core/http/pagination.py", at_start="# Mine.\n")
    edited = (service.folder / "app/core/http/pagination.py").read_bytes()
    commit(service.folder, "Edit")
    with pytest.raises(CommandError, match=r"app/core/http/pagination\.py\.kept"):
        update(service.folder)
    assert not (service.folder / "app/core/http/pagination.py").exists()
    assert (service.folder / "app/core/http/pagination.py.kept").read_bytes() == edited


def test_edits_of_a_disabled_part_are_kept_in_a_copy(releases: Path, tmp_path: Path) -> None:
    service = copy(releases, tmp_path / "service", vcs_ref="v0.1.0", redis_cache=True)
    git(service.folder, "init", "--quiet")
    edit(service.folder, "app/core/cache/store.py", at_end="# Mine.\n")
    commit(service.folder, "Start")
    with pytest.raises(CommandError, match=r"app/core/cache/store\.py\.kept"):
        update(service.folder, "redis_cache=false")
    assert (service.folder / "app/core/cache/store.py.kept").read_text().endswith("# Mine.\n")


def test_revisions_of_a_disabled_part_are_kept(releases: Path, tmp_path: Path) -> None:
    jobs = copy(releases, tmp_path / "jobs", vcs_ref="v0.1.0", cpu_jobs="process_pool")
    git(jobs.folder, "init", "--quiet")
    commit(jobs.folder, "Start")
    with pytest.raises(CommandError, match=r"databases may be at them.*\n.*0002_simulations\.py"):
        update(jobs.folder, "cpu_jobs=none")
    assert (jobs.folder / "migrations/versions/0002_simulations.py").exists()
    assert not (jobs.folder / "app/domains/simulations").exists()
    commit(jobs.folder, "Off")

    update(jobs.folder, "cpu_jobs=process_pool")
    fresh = copy(releases, tmp_path / "fresh", cpu_jobs="process_pool")
    assert contents(jobs.folder) == contents(fresh.folder)


def test_several_migration_heads_are_listed(service: Project) -> None:
    versions = service.folder / "migrations/versions"
    revision = 'revision = "abc"\ndown_revision: str | None = "0001"\n'
    (versions / "20270101_abc_orders.py").write_text(revision)
    (versions / "broken.py").write_text("<<<<<<< mine\n")
    commit(service.folder, "Orders")
    with pytest.raises(CommandError, match="uv run alembic merge heads") as error:
        update(service.folder, "cpu_jobs=celery")
    assert "\n    0002\n    abc\n" in str(error.value)


def test_deleted_files_stay_deleted(service: Project) -> None:
    shutil.rmtree(service.folder / "app/domains/users")
    (service.folder / "app/core/http/etags.py").unlink()
    commit(service.folder, "Delete")
    printed = update(service.folder)
    assert not (service.folder / "app/domains/users").exists()
    assert not (service.folder / "app/core/conditions.py").exists()
    assert "app/domains/users/news.py" in printed


def test_a_conflict_is_listed_and_can_be_undone(service: Project) -> None:
    edit(service.folder, "app/core/bulkhead.py", at_start="# My first line.\n")
    commit(service.folder, "Edit")
    before = contents(service.folder)
    with pytest.raises(CommandError, match=r"Conflicts.*\n    app/core/bulkhead\.py"):
        update(service.folder)
    assert "<<<<<<< " in (service.folder / "app/core/bulkhead.py").read_text()
    with pytest.raises(CommandError, match="An update is in progress"):
        update(service.folder)

    update(service.folder, "--abort")
    assert contents(service.folder) == before
    assert not git(service.folder, "status", "--porcelain")
    assert git(service.folder, "branch").split() == ["*", "main"]
    with pytest.raises(CommandError, match="No update is in progress"):
        update(service.folder, "--abort")


def test_abort_keeps_commits_and_later_edits(service: Project) -> None:
    update(service.folder)
    commit(service.folder, "Update")
    with pytest.raises(CommandError, match=r"committed since the update.*`git switch main`"):
        update(service.folder, "--abort")
    git(service.folder, "switch", "--quiet", "main")
    edit(service.folder, "README.md", at_end="Mine.\n")
    update(service.folder, "--abort")
    assert (service.folder / "README.md").read_text().endswith("Mine.\n")
    assert git(service.folder, "branch").split() == ["*", "main", "update-v0.2.0"]


def test_update_and_abort_in_a_folder_of_a_monorepo(releases: Path, tmp_path: Path) -> None:
    repository = tmp_path / "monorepo"
    (repository / "services").mkdir(parents=True)
    (repository / "README.md").write_text("Ours.\n")
    service = copy(releases, repository / "services/one", vcs_ref="v0.1.0")
    git(repository, "init", "--quiet")
    edit(service.folder, "app/core/http/etags.py", at_start="# Mine.\n")
    commit(repository, "Start")
    (repository / "untracked.txt").write_text("Untracked work.\n")
    before = contents(repository)

    update(service.folder)
    assert (service.folder / "app/core/conditions.py").read_text().startswith("# Mine.\n")
    update(service.folder, "--abort")
    assert contents(repository) == before


def test_dry_run_shows_differences_and_changes_nothing(service: Project) -> None:
    (service.folder / ".env").write_text("SECRET_KEY=\n")
    before = contents(service.folder)
    printed = update(service.folder, "--dry-run")
    assert "+# The template's first line." in printed
    assert "NEW_SETTING" in printed
    assert contents(service.folder) == before
    assert git(service.folder, "branch").split() == ["*", "main"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["redis_cash=true"], "Unknown answer redis_cash=true: write name=value"),
        (["redis_cache"], "Unknown answer redis_cache: write name=value"),
        (["--to", "v9.9.9"], "The template has no version v9.9.9"),
        (["database=mysql"], "Copier cannot render v0.2.0: .*Invalid choice"),
        (["stop_grace=20"], "The other answers skip the question stop_grace"),
    ],
)
def test_invalid_arguments_are_refused(
    service: Project, arguments: list[str], sentence: str
) -> None:
    before = contents(service.folder)
    with pytest.raises(CommandError, match=sentence):
        update(service.folder, *arguments)
    assert contents(service.folder) == before
    assert git(service.folder, "branch").split() == ["*", "main"]


def test_update_refuses_uncommitted_changes(service: Project) -> None:
    edit(service.folder, "README.md", at_end="Mine.\n")
    with pytest.raises(CommandError, match=r"Commit or stash.*\n.*README\.md"):
        update(service.folder)


def signalled_update(service: Project, at: str, by: signal.Signals, *arguments: str) -> str:
    """Update, send a signal at a step, and return the output after that step."""
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, *arguments],
        cwd=service.folder,
        env=clean_environment(**USER),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout
        next(line for line in process.stdout if at in line)
        os.killpg(process.pid, by)
        rest = process.stdout.read()
    assert process.returncode
    return rest


@pytest.mark.parametrize("written", [0, 1, 3])
def test_update_killed_while_writing_can_be_undone(service: Project, written: int) -> None:
    edit(service.folder, "app/core/http/etags.py", at_start="# Mine.\n")
    commit(service.folder, "Edit")
    before = contents(service.folder)
    program = [sys.executable, "-c", KILLED.format(written=written)]
    with pytest.raises(CommandError, match=r"failed \(-9\)"):
        execute(program, service.folder, **USER)
    assert contents(service.folder) != before
    update(service.folder, "--abort")
    assert contents(service.folder) == before
    assert not git(service.folder, "status", "--porcelain")


@pytest.mark.parametrize("at", ["Rendering both", "Merging"])
def test_update_killed_before_writing_changes_nothing(service: Project, at: str) -> None:
    before = contents(service.folder)
    signalled_update(service, at, signal.SIGKILL)
    assert contents(service.folder) == before
    assert git(service.folder, "branch").split() == ["*", "main"]
    update(service.folder)


@pytest.mark.parametrize("at", ["uv lock", "uv sync", "uv run poe check", "uv run poe test"])
def test_update_killed_during_checks_can_be_undone(service: Project, at: str) -> None:
    service.run("uv", "sync", "--quiet")
    commit(service.folder, "Lock")
    before = checked_in(service.folder)
    signalled_update(service, f"- {at}\n", signal.SIGKILL, "--to=v0.1.0", "server=uvicorn")
    service.run("uv", "run", "poe", "update", "--abort")
    assert checked_in(service.folder) == before
    assert not git(service.folder, "status", "--porcelain")
    assert git(service.folder, "branch").split() == ["*", "main"]
    service.run("uv", "sync", "--locked", "--check")


def test_update_reports_failed_checks(service: Project) -> None:
    """Update to a release that renames a module which other modules import."""
    service.run("uv", "sync", "--quiet")
    commit(service.folder, "Lock")
    with pytest.raises(CommandError, match=r"Failed checks:\n    uv run poe check\n") as error:
        service.run("uv", "run", "poe", "update", **USER)
    assert "app.core.http.etags" in str(error.value)
    assert "uv run poe update --abort" in str(error.value)


def test_interrupted_update_says_how_to_undo(service: Project) -> None:
    service.run("uv", "sync", "--quiet")
    commit(service.folder, "Lock")
    arguments = ("--to=v0.1.0", "server=uvicorn")
    printed = signalled_update(service, "- uv run poe check\n", signal.SIGINT, *arguments)
    assert "Interrupted." in printed
    assert "uv run poe update --abort" in printed
    assert "Traceback" not in printed


def test_edits_are_kept_byte_for_byte(service: Project) -> None:
    """Update files that are no plain text, under Git settings that would change them."""
    odd = {
        "renovate.json": b"\x00\xff",
        "app/core/serving/server.py": b"# caf\xe9\n",
        "app/core/errors.py": b"# trailing \t \n",
        "app/main.py": "# Ours\n".encode("utf-16"),
        "mine.bin": b"\x00\r\n\xff",
    }
    for path, text in odd.items():
        (service.folder / path).write_bytes(text)
    (service.folder / "app/core/http/schemas.py").unlink()
    (service.folder / "app/core/http/schemas.py").symlink_to("server.py")
    (service.folder / "app/core/http/etags.py").chmod(0o755)
    attributes = service.folder / ".git/info/attributes"
    attributes.write_text("*.py -diff -text\n* -text\n")
    git(service.folder, "config", "apply.whitespace", "error")
    git(service.folder, "config", "core.autocrlf", "true")
    commit(service.folder, "Odd")
    update(service.folder)
    assert {path: (service.folder / path).read_bytes() for path in odd} == odd
    assert (service.folder / "app/core/http/schemas.py").readlink() == Path("server.py")
    assert (service.folder / "app/core/conditions.py").stat().st_mode & 0o111 == 0o111


def test_conflict_leaves_a_binary_file_unchanged(service: Project) -> None:
    (service.folder / "app/core/bulkhead.py").write_bytes(b"\x00\xff")
    commit(service.folder, "Edit")
    with pytest.raises(CommandError, match=r"Conflicts.*\n    app/core/bulkhead\.py"):
        update(service.folder)
    assert (service.folder / "app/core/bulkhead.py").read_bytes() == b"\x00\xff"


def test_abort_keeps_uncommitted_work_since_the_update(service: Project) -> None:
    update(service.folder)
    (service.folder / "app/new.py").write_text("# Mine.\n")
    edit(service.folder, "app/main.py", at_end="# Mine.\n")
    printed = update(service.folder, "--abort")
    assert "Your changes since the update are still here:" in printed
    changed = git(service.folder, "status", "--porcelain").split("\n")
    assert changed == [" M app/main.py", "?? app/new.py", ""]


def test_update_refuses_to_overwrite_an_ignored_file(service: Project) -> None:
    (service.folder / ".git/info/exclude").write_text("news.py\n")
    mine = service.folder / "app/domains/users/news.py"
    mine.write_text("# Mine.\n")
    with pytest.raises(CommandError, match=r"Move these away.* app/domains/users/news\.py"):
        update(service.folder)
    assert mine.read_text() == "# Mine.\n"
    assert git(service.folder, "branch").split() == ["*", "main"]


def test_folder_at_the_path_of_an_added_file_conflicts(service: Project) -> None:
    own = service.folder / "app/domains/users/news.py"
    own.mkdir()
    (own / "mine.txt").write_text("Mine.\n")
    commit(service.folder, "A folder")
    with pytest.raises(CommandError, match=r"Conflicts.*\n    app/domains/users/news\.py"):
        update(service.folder)
    assert (own / "mine.txt").read_text() == "Mine.\n"


def test_update_refuses_untracked_files_hidden_by_git_config(service: Project) -> None:
    git(service.folder, "config", "status.showUntrackedFiles", "no")
    (service.folder / "app/draft.py").write_text("# Hours.\n")
    with pytest.raises(CommandError, match=r"Commit or stash.*\n.*app/draft\.py"):
        update(service.folder)


def test_failing_git_hook_does_not_stop_an_update(service: Project) -> None:
    hook = service.folder / ".git/hooks/post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 2\n")
    hook.chmod(0o755)
    before = contents(service.folder)
    update(service.folder)
    update(service.folder, "--abort")
    assert contents(service.folder) == before


@pytest.mark.parametrize(("own", "usual"), [("sha1", "sha256"), ("sha256", "sha1")])
def test_update_works_with_both_hash_algorithms_of_git(
    first: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str, usual: str
) -> None:
    folder = shutil.copytree(first.folder, tmp_path / "service")
    shutil.rmtree(folder / ".git")
    git(folder, "init", "--quiet", f"--object-format={own}")
    edit(folder, "app/core/bulkhead.py", at_end="# Mine.\n")
    commit(folder, "Start")
    monkeypatch.setenv("GIT_DEFAULT_HASH", usual)
    update(folder)
    merged = (folder / "app/core/bulkhead.py").read_text()
    assert merged.startswith("# The template's first line.\n")
    assert merged.endswith("# Mine.\n")


def test_only_one_service_of_a_repository_updates_at_once(releases: Path, tmp_path: Path) -> None:
    repository = tmp_path / "monorepo"
    repository.mkdir()
    folders = [repository / "one", repository / "two"]
    for folder in folders:
        copy(releases, folder, vcs_ref="v0.1.0")
    git(repository, "init", "--quiet", "--initial-branch=main")
    commit(repository, "Start")
    edit(repository, "two/README.md", at_end="Mine.\n")
    (repository / "two/app/core/http/etags.py").unlink()
    before = contents(repository)

    update(folders[0])
    assert contents(folders[1]).items() <= contents(repository / "two").items()
    git(repository, "checkout", "--quiet", "--", "two")
    with pytest.raises(CommandError, match="An update of another service is in progress"):
        update(folders[1])
    edit(repository, "two/README.md", at_end="Mine.\n")
    (repository / "two/app/core/http/etags.py").unlink()
    update(folders[0], "--abort")
    assert contents(repository) == before


def test_abort_works_only_on_the_update_branch(service: Project) -> None:
    before = contents(service.folder)
    update(service.folder)
    git(service.folder, "switch", "--quiet", "--create", "elsewhere")
    with pytest.raises(CommandError, match=r"run `git switch update-v0\.2\.0` first"):
        update(service.folder, "--abort")
    git(service.folder, "switch", "--quiet", "update-v0.2.0")
    update(service.folder, "--abort")
    assert contents(service.folder) == before


def test_update_requires_a_repository_with_a_commit(releases: Path, tmp_path: Path) -> None:
    service = copy(releases, tmp_path / "service", vcs_ref="v0.1.0")
    for arguments in ((), ("--dry-run",), ("--abort",)):
        with pytest.raises(CommandError, match="no Git repository: run `uv run poe setup`"):
            update(service.folder, *arguments)
    git(service.folder, "init", "--quiet")
    with pytest.raises(CommandError, match="The repository has no commit"):
        update(service.folder, "--dry-run")


@pytest.mark.parametrize(
    "text", ["", "_commit: v0.1.0\n", "_commit: v0.1.0\n=======\n_commit: v0.2.0\n_src_path: x\n"]
)
def test_answers_file_must_name_one_template(service: Project, text: str) -> None:
    (service.folder / ".copier-answers.yml").write_text(text)
    commit(service.folder, "Break")
    with pytest.raises(CommandError, match="does not name one template"):
        update(service.folder)


def test_unreachable_template_is_reported(service: Project) -> None:
    file = service.folder / ".copier-answers.yml"
    file.write_text(re.sub("_src_path: .*", "_src_path: /nowhere", file.read_text()))
    commit(service.folder, "Move")
    with pytest.raises(CommandError, match="repository '/nowhere' does not exist"):
        update(service.folder)


def test_moved_template_is_found_by_url(service: Project, releases: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(releases, tmp_path / "elsewhere")
    file = service.folder / ".copier-answers.yml"
    file.write_text(re.sub("_src_path: .*", "_src_path: ../nowhere", file.read_text()))
    service.run("uv", "lock", "--quiet")
    commit(service.folder, "Move")
    for command in ("update", "doctor"):
        with pytest.raises(CommandError, match="Add --source URL, if it has moved"):
            service.run("uv", "run", "poe", command, **USER)
    with pytest.raises(CommandError, match=r"If the template has moved.*poe update --source URL"):
        update(service.folder)
    # Users write the new location in one of these forms.
    for source in (
        f"git+file://{moved}",
        f"file://{moved}",
        str(moved),
        "../elsewhere",
        "elsewhere",
    ):
        printed = service.run("uv", "run", "poe", "doctor", "--source", source, **USER)
        assert "The newest version is v0.2.0" in printed
    # Copier stores a relative path as given in the folder above the service.
    printed = update(service.folder, "--dry-run", "--source", "elsewhere")
    assert "Updating from v0.1.0 to v0.2.0." in printed
    update(service.folder, "--source", str(moved))
    assert f"_src_path: {moved}\n" in file.read_text()


GIT_URLS = {
    "gh:acme/template": "https://github.com/acme/template",
    "gl:acme/template.git": "https://gitlab.com/acme/template.git",
    "git@github.com:acme/private.git": "ssh://git@github.com/acme/private.git",
    "git+https://example.com/template.git": "https://example.com/template.git",
    "ssh://git@example.com:2222/template": "ssh://git@example.com:2222/template",
    "/srv/template": "file:///srv/template",
    "~/template": f"file://{Path.home()}/template",
}


@pytest.mark.parametrize(("source", "url"), GIT_URLS.items())
def test_source_is_converted_to_a_url_for_uv(
    source: str, url: str, render: Callable[[Answers], Project]
) -> None:
    launcher = runpy.run_path(str(render({}).folder / "scripts/template.py"))
    assert launcher["git_url"](source) == url


def test_update_never_downgrades_an_unreleased_version(releases: Path, tmp_path: Path) -> None:
    source = shutil.copytree(releases, tmp_path / "copier-fastapi")
    edit(source, "template/app/core/bulkhead.py", at_end="# Not released.\n")
    commit(source, "Three")
    service = copy(source, tmp_path / "service", vcs_ref="HEAD")
    git(service.folder, "init", "--quiet")
    commit(service.folder, "Start")
    assert re.search(r"at v0\.2\.0-1-g\w+ already\.", update(service.folder))
    assert "newest version" not in doctor(service.folder)
    update(service.folder, "container=false")
    assert (service.folder / "app/core/bulkhead.py").read_text().endswith("# Not released.\n")
    assert not (service.folder / "Dockerfile").exists()


def test_update_to_an_older_version(service: Project, first: Project) -> None:
    update(service.folder)
    commit(service.folder, "Update")
    update(service.folder, "--to=v0.1.0")
    assert contents(service.folder) == contents(first.folder)


def checked_in(folder: Path) -> dict[str, bytes]:
    """Return the content of every file that Git tracks or would add."""
    known = ("ls-files", "--cached", "--others", "--exclude-standard")
    return {path: (folder / path).read_bytes() for path in git(folder, *known).splitlines()}


def doctor(folder: Path, *arguments: str) -> str:
    """Compare a service with its template; return the output."""
    return execute([sys.executable, QUICK_COPIER, "tool", "doctor", *arguments], folder, **USER)


def test_doctor_lists_files_that_differ(service: Project) -> None:
    printed = doctor(service.folder, "--exit-code")
    assert "files match v0.1.0." in printed
    assert "The newest version is v0.2.0" in printed
    edit(service.folder, "app/core/http/etags.py", at_start="# Mine.\n")
    (service.folder / "app/core/http/pagination.py").unlink()
    edit(service.folder, "README.md", at_end="Mine.\n")
    edit(service.folder, "app/settings.py", at_end="# Mine.\n")
    printed = doctor(service.folder)
    assert printed.startswith(
        "Files of the template:\n"
        "    +1 -0      app/core/http/etags.py\n"
        "    deleted    app/core/http/pagination.py\n"
        "Shared files; your lines belong below `# Add yours below.`:\n"
        "    +1 -0      app/settings.py\n"
        "Your files, rendered as an example to change:\n"
        "    +1 -0      README.md\n"
    )
    assert "+# Mine." in doctor(service.folder, "--diff")
    with pytest.raises(CommandError):
        doctor(service.folder, "--exit-code")


def test_doctor_passes_if_only_user_files_differ(service: Project) -> None:
    shutil.rmtree(service.folder / "app/domains/users")
    edit(service.folder, "app/settings.py", at_end="# Mine.\n")
    assert "deleted    app/domains/users/router.py" in doctor(service.folder, "--exit-code")


@pytest.mark.parametrize("answers", [SMALLEST, FULLEST], ids=label)
def test_documentation_lists_the_shared_files(
    answers: Answers, render: Callable[[Answers], Project]
) -> None:
    files = render(answers).files()
    shared = next(
        line for line in files["docs/updating.md"].splitlines() if line.startswith("| shared")
    )
    named = re.findall(r"`([^`#]+)`", shared)
    assert named == sorted(
        path
        for path, text in files.items()
        if "# Add yours below." in text and path != "docs/updating.md"
    )


def test_setup_prepares_a_fresh_checkout(first: Project, tmp_path: Path) -> None:
    checkout = Project(shutil.copytree(first.folder, tmp_path / "service"), first.answers)
    shutil.rmtree(checkout.folder / ".git")

    printed = checkout.run("uv", "run", "poe", "setup", **USER)
    assert "!" not in printed
    assert "Git: created a repository" in printed
    env = checkout.folder / ".env"
    assert env.stat().st_mode & 0o077 == 0
    secrets = dict(re.findall(r"^(\w+)=(\w{64})$", env.read_text(), re.MULTILINE))
    assert secrets.keys() == {"SECRET_KEY", "POSTGRES_PASSWORD"}
    assert "pre-commit" in (checkout.folder / ".git/hooks/pre-commit").read_text()

    before = env.read_text()
    printed = checkout.run("uv", "run", "poe", "setup", **USER)
    assert "!" not in printed
    assert "all secrets are set" in printed
    assert "Commits: checked by pre-commit" in printed
    assert env.read_text() == before
    git(checkout.folder, "add", "--all")
    assert ".env\n" not in git(checkout.folder, "ls-files")
