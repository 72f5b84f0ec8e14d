"""A service takes the template's fixes, keeps its own edits, and nobody has to trust anything."""

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
    """Run Git, as somebody."""
    user = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    return execute(["git", *user, *arguments], folder)


def commit(folder: Path, message: str) -> None:
    """Commit everything in a folder."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)


def copier(folder: Path, *arguments: str) -> str:
    """Run Copier's command line, without `--trust`."""
    return execute([sys.executable, QUICK_COPIER, *arguments], folder)


def copy(source: Path, folder: Path, *options: str) -> Project:
    """Copy a release of the template with the real command."""
    data = [f"--data={name}={answer}" for name, answer in ANSWERS.items()]
    copier(folder.parent, "copy", "--defaults", *data, *options, str(source), folder.name)
    return Project(folder, ANSWERS)


@pytest.fixture
def releases(template: Path, tmp_path: Path) -> Path:
    """A repository with two releases of the template: the second changes, adds and drops a file."""
    source = shutil.copytree(template, tmp_path / "copier-fastapi")
    (source / "template/dropped.txt").write_text("old\n")
    git(source, "init", "--quiet")
    commit(source, "One")
    git(source, "tag", "v0.1.0")
    (source / "template/dropped.txt").unlink()
    (source / "template/added.txt").write_text("new\n")
    ignored = source / "template/.gitignore"
    ignored.write_text("# The template's news\nnews/\n\n" + ignored.read_text())
    commit(source, "Two")
    git(source, "tag", "v0.2.0")
    return source


@pytest.fixture
def service(releases: Path, tmp_path: Path) -> Project:
    """A committed service, made by the first release."""
    project = copy(releases, tmp_path / "service", "--vcs-ref=v0.1.0")
    git(project.folder, "init", "--quiet")
    commit(project.folder, "Start")
    return project


def test_the_template_asks_for_no_trust(template: Path) -> None:
    config = yaml.safe_load((template / "copier.yml").read_text("utf-8"))
    assert not config.keys() & {"_tasks", "_migrations", "_jinja_extensions"}


def test_an_update_brings_the_news_and_keeps_the_edits(service: Project) -> None:
    ignored = service.folder / ".gitignore"
    ignored.write_text(ignored.read_text() + "mine/\n")
    (service.folder / "mine.txt").write_text("mine\n")
    commit(service.folder, "Edit")

    copier(service.folder, "update", "--defaults")

    files = service.files()
    assert files[".gitignore"].startswith("# The template's news\nnews/\n")
    assert files[".gitignore"].endswith("# Add yours below.\nmine/\n")
    assert files["added.txt"] == "new\n"
    assert files["mine.txt"] == "mine\n"
    assert "dropped.txt" not in files


def test_an_updated_service_is_as_a_fresh_one(
    service: Project, releases: Path, tmp_path: Path
) -> None:
    copier(service.folder, "update", "--defaults")
    assert service.files() == copy(releases, tmp_path / "fresh").files()


def test_the_real_command_does_the_same(releases: Path, tmp_path: Path) -> None:
    """Nothing depends on how the tests start Copier."""
    quick = copy(releases, tmp_path / "quick", "--vcs-ref=v0.1.0")
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


def test_an_update_to_the_same_release_changes_nothing(service: Project) -> None:
    copier(service.folder, "update", "--defaults", "--vcs-ref=v0.1.0")
    assert not git(service.folder, "status", "--porcelain")


@pytest.mark.parametrize("answers", switches(), ids=label)
def test_an_update_changes_answers_and_back(
    answers: Answers, service: Project, releases: Path, tmp_path: Path
) -> None:
    before = service.files()
    changed = [f"--data={name}={answer}" for name, answer in answers.items()]
    fresh = copy(releases, tmp_path / "fresh", "--vcs-ref=v0.1.0", *changed)

    copier(service.folder, "update", "--defaults", "--vcs-ref=v0.1.0", *changed)
    assert service.files() == fresh.files()

    git(service.folder, "add", "--all")
    git(service.folder, "commit", "--quiet", "--allow-empty", "--message=Change")
    back = [f"--data={name}={questions()[name]['default']}" for name in answers]
    copier(service.folder, "update", "--defaults", "--vcs-ref=v0.1.0", *back)
    assert service.files() == before
