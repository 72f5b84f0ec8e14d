"""Updates by Copier's own command: no `--trust`, all fixes arrive, and edits are kept."""

import shutil
import sys
from pathlib import Path

import pytest
import yaml

from tests.matrix import Answers, label, questions, switches
from tests.project import Project, execute
from tests.quick_copier import QUICK_COPIER

ANSWERS = {"project_name": "Acme", "description": 'Says "hi" to C:\\,\n{{ not Jinja }} and 🚀.'}


def git(folder: Path, *arguments: str) -> str:
    """Run Git as a fixed user; return the output."""
    user = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    return execute(["git", *user, *arguments], folder)


def commit(folder: Path, message: str) -> None:
    """Commit everything in a folder."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)


def copier(folder: Path, *arguments: str) -> str:
    """Run Copier's command line without `--trust`; return the output."""
    return execute([sys.executable, QUICK_COPIER, *arguments], folder)


def copy(
    source: Path, folder: Path, vcs_ref: str | None = None, **answers: str | bool | int
) -> Project:
    """Copy a release of the template, the newest by default; return the service."""
    return Project.render(source, folder, {**ANSWERS, **answers}, vcs_ref)


@pytest.fixture
def releases(template: Path, tmp_path: Path) -> Path:
    """Return a repository with two releases: the second edits, adds and deletes a file."""
    source = shutil.copytree(template, tmp_path / "copier-fastapi")
    (source / "template/dropped.txt").write_text("old\n")
    git(source, "init", "--quiet")
    commit(source, "One")
    git(source, "tag", "v0.1.0")
    (source / "template/dropped.txt").unlink()
    (source / "template/added.txt").write_text("new\n")
    ignored = source / "template/.gitignore"
    ignored.write_text("# The template's new line\nnew/\n\n" + ignored.read_text())
    commit(source, "Two")
    git(source, "tag", "v0.2.0")
    return source


@pytest.fixture
def service(releases: Path, tmp_path: Path) -> Project:
    """Return a committed service, rendered from the first release."""
    project = copy(releases, tmp_path / "service", vcs_ref="v0.1.0")
    git(project.folder, "init", "--quiet")
    commit(project.folder, "Start")
    return project


def test_the_template_asks_for_no_trust(template: Path) -> None:
    config = yaml.safe_load((template / "copier.yml").read_text("utf-8"))
    assert not config.keys() & {"_tasks", "_migrations", "_jinja_extensions"}


def test_update_adds_new_lines_and_keeps_edits(service: Project) -> None:
    ignored = service.folder / ".gitignore"
    ignored.write_text(ignored.read_text() + "mine/\n")
    (service.folder / "mine.txt").write_text("mine\n")
    commit(service.folder, "Edit")

    copier(service.folder, "update", "--defaults")

    files = service.files()
    assert files[".gitignore"].startswith("# The template's new line\nnew/\n")
    assert files[".gitignore"].endswith("# Add yours below.\nmine/\n")
    assert files["added.txt"] == "new\n"
    assert files["mine.txt"] == "mine\n"
    assert "dropped.txt" not in files


def test_updated_service_equals_a_fresh_one(
    service: Project, releases: Path, tmp_path: Path
) -> None:
    copier(service.folder, "update", "--defaults")
    assert service.files() == copy(releases, tmp_path / "fresh").files()


def test_copier_renders_as_quick_copier_does(releases: Path, tmp_path: Path) -> None:
    """Compare `copier` itself with the faster start that the other tests use."""
    quick = copy(releases, tmp_path / "quick", vcs_ref="v0.1.0")
    git(quick.folder, "init", "--quiet")
    commit(quick.folder, "Start")
    real = Project(shutil.copytree(quick.folder, tmp_path / "real"), quick.answers)
    copier(quick.folder, "update", "--defaults")
    real.run(sys.executable, "-m", "copier", "update", "--defaults")
    assert real.files() == quick.files()

    data = [f"--data={name}={answer}" for name, answer in ANSWERS.items()]
    command = [sys.executable, "-m", "copier", "copy", "--defaults", *data]
    execute([*command, str(releases), "fresh"], tmp_path)
    assert Project(tmp_path / "fresh", ANSWERS).files() == real.files()


def test_update_to_the_same_release_changes_nothing(service: Project) -> None:
    copier(service.folder, "update", "--defaults", "--vcs-ref=v0.1.0")
    assert not git(service.folder, "status", "--porcelain")


@pytest.mark.parametrize("answers", switches(), ids=label)
def test_update_changes_answers_and_changes_them_back(
    answers: Answers, service: Project, releases: Path, tmp_path: Path
) -> None:
    before = service.files()
    changed = [f"--data={name}={answer}" for name, answer in answers.items()]
    fresh = copy(releases, tmp_path / "fresh", vcs_ref="v0.1.0", **answers)

    copier(service.folder, "update", "--defaults", "--vcs-ref=v0.1.0", *changed)
    assert service.files() == fresh.files()

    git(service.folder, "add", "--all")
    git(service.folder, "commit", "--quiet", "--allow-empty", "--message=Change")
    back = [f"--data={name}={questions()[name]['default']}" for name in answers]
    copier(service.folder, "update", "--defaults", "--vcs-ref=v0.1.0", *back)
    assert service.files() == before
