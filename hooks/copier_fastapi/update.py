"""Update of a service to another version of its template, its dry run and its undo."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from itertools import dropwhile, takewhile
from pathlib import Path
from tempfile import TemporaryDirectory

from copier_fastapi.merge import REVISIONS, Merge, Outcome, delete
from copier_fastapi.service import ANSWERS, ROOT, ToolError, files, git, run
from copier_fastapi.template import Template, git_url, read_answers

UNRELEASED = "## [Unreleased]"
# No Git hook of the user may stop the switch to the update's branch, or back.
UNHOOKED = ("-c", f"core.hooksPath={os.devnull}")


@dataclass(frozen=True)
class Snapshot:
    """State before an update, from which `--abort` restores the service."""

    branch: str
    commit: str
    update_branch: str
    # Files that the update changes or deletes, and files that the update adds.
    changed: list[str]
    added: list[str]

    @staticmethod
    def file() -> Path:
        """Return the path of the snapshot, in Git's own folder: no checkout changes the file."""
        place = git("rev-parse", "--show-prefix").replace("/", "-")
        return ROOT / git("rev-parse", "--git-path", f"copier-update-{place}state")

    @classmethod
    def load(cls, file: Path | None = None) -> "Snapshot | None":
        """Return the snapshot of the last update, or None."""
        file = file or cls.file()
        if not file.exists():
            return None
        noted = json.loads(file.read_text("utf-8"))
        # 0.1.0 stores neither list, and refuses to start beside untracked files.
        noted.setdefault("changed", ["."])
        noted.setdefault("added", git("ls-files", "--others", "--exclude-standard").splitlines())
        return cls(**noted)

    def is_under_way(self) -> bool:
        """Return whether the update's branch is checked out and has no commit of its own."""
        branch, commit = git("branch", "--show-current"), git("rev-parse", "HEAD")
        return (branch, commit) == (self.update_branch, self.commit)

    def is_committed(self) -> bool:
        """Return whether the update's branch has commits of its own."""
        return git("rev-parse", "--verify", self.update_branch, check=False) != self.commit

    def save(self) -> None:
        """Write the file atomically."""
        new = self.file().with_suffix(".new")
        new.write_text(json.dumps(asdict(self)), "utf-8")
        new.replace(self.file())


@dataclass
class Summary:
    """Result of an update, with the tasks left to the user."""

    outcome: Outcome
    heads: list[str] = field(default_factory=list)
    settings: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def needs_somebody(self) -> bool:
        """Return whether the user has something left to decide or fix."""
        left = self.outcome
        return bool(left.conflicts or left.kept or left.revisions or self.heads or self.failed)

    def show(self) -> None:
        """Print the changes, the tasks left, and how to undo the update."""
        outcome = self.outcome
        numbers = {"modified": outcome.changed, "added": outcome.added, "deleted": outcome.dropped}
        counted = ", ".join(f"{len(paths)} {how}" for how, paths in numbers.items())
        say("Changed files", f"{counted}; see git status")
        say("Files renamed by the template, with your edits kept", *outcome.carried)
        say("Files not restored, because you deleted them or their folder", *outcome.left_out)
        say("Your edits of files no longer rendered; use or delete them", *outcome.kept)
        say(
            "Revisions no longer rendered, kept because databases may be at them. To drop "
            "their tables, run `uv run poe revision -m 'drop …'`",
            *outcome.revisions,
        )
        say("Several migration heads; join them with `uv run alembic merge heads`", *self.heads)
        say("Conflicts, marked in text files; resolve them, then run `git add`", *outcome.conflicts)
        say("New settings, missing in your .env and explained in .env.example", *self.settings)
        say("Failed checks", *self.failed)
        say("Commit and merge this branch, or undo the update", "uv run poe update --abort")


def say(title: str, *lines: str) -> None:
    """Print lines under a title, or nothing if there are none."""
    if lines:
        print("", f"{title}:", *(f"    {line}" for line in lines), sep="\n", flush=True)


def step(text: str) -> None:
    """Print the next step."""
    print(f"- {text}", flush=True)


def update(source: str | None, to: str | None, answers: list[str], *, checks: bool) -> int:
    """Update on a new branch; return the exit code, 0 if nothing is left to do."""
    refuse_unless_clean()
    with TemporaryDirectory() as folder, Template.of(ROOT, source) as template:
        version = template.find(to) if to else template.next()
        if version == template.version and not answers and not source:
            print(f"The service is at {version} already.")
            return 0
        refuse_unknown(answers, template.text(version, "copier.yml"))
        if version == template.version:
            print(f"Staying at {version}, with {', '.join(answers) or source}.")
        else:
            print(f"Updating from {template.version} to {version}.")
        say("Changelog", *changelog(template, version))
        print()
        step("Rendering both versions")
        old = template.render(template.version, ROOT / ANSWERS, Path(folder) / "old")
        new = template.render(version, ROOT / ANSWERS, Path(folder) / "new", *answers)
        refuse_ignored(answers, new[ANSWERS].read_text("utf-8"))
        step("Merging your changes")
        merge = Merge(Path(folder) / "merge")
        is_newer = version != template.version
        outcome = merge.run(Path(folder) / "old", Path(folder) / "new", is_newer=is_newer)
        summary = Summary(outcome)
        refuse_if_in_the_way(summary.outcome)
        begin(version, summary.outcome)
        step("Writing the merged files")
        merge.write(summary.outcome)
        summary.settings = unset(old, new)
    summary.heads = heads()
    if checks and not summary.outcome.conflicts:
        summary.failed = check()
    summary.show()
    return int(summary.needs_somebody())


def begin(version: str, outcome: Outcome) -> None:
    """Write a snapshot, then switch to a new branch."""
    taken = git("branch", "--format=%(refname:short)").splitlines()
    name = f"update-{version}"
    while name in taken:
        name += "-again"
    snapshot = Snapshot(
        branch=git("branch", "--show-current"),
        commit=git("rev-parse", "HEAD"),
        update_branch=name,
        changed=outcome.changed + outcome.dropped,
        added=list(outcome.added),
    )
    # The checks after the update run `uv lock`, which changes this file too.
    if git("ls-files", "uv.lock"):
        snapshot.changed.append("uv.lock")
    elif not (ROOT / "uv.lock").exists():
        snapshot.added.append("uv.lock")
    snapshot.save()
    step(f"Switching to the new branch {name}")
    git(*UNHOOKED, "switch", "--quiet", "--create", name)


def check() -> list[str]:
    """Lock, install, check and test; return the first failed command in a list, or none."""
    for command in ("uv lock", "uv sync", "uv run poe check", "uv run poe test"):
        step(command)
        done = run(*command.split(), check=False)
        if done.returncode:
            print(done.stdout[-5_000:], done.stderr[-5_000:], sep="\n")
            return [command]
    return []


def refuse_unless_clean() -> None:
    """Raise ToolError if an update, or its undo, might lose uncommitted work."""
    snapshot = Snapshot.load()
    if snapshot and snapshot.is_under_way():
        raise ToolError("An update is in progress: commit it, or run `uv run poe update --abort`.")
    if dirty := git("status", "--porcelain", "--untracked-files=all", "--", "."):
        raise ToolError(f"There are uncommitted changes. Commit or stash them first:\n{dirty}")
    for other in Snapshot.file().parent.glob("copier-update-*state"):
        noted = Snapshot.load(other)
        if other != Snapshot.file() and noted and noted.is_under_way():
            raise ToolError("An update of another service is in progress: commit it first.")


def refuse_if_in_the_way(outcome: Outcome) -> None:
    """Raise ToolError if the update adds a file where one exists that Git ignores."""
    taken: set[str] = set()
    for path in outcome.added:
        own = ROOT / path
        above = [each for each in (own, *own.parents) if ROOT in each.parents]
        taken.update(str(each.relative_to(ROOT)) for each in above if not_folder(each))
        taken.update(f"{path}/{inner}" for inner in (files(own) if own.is_dir() else ()))
    if taken := taken - set(outcome.dropped):
        raise ToolError(
            f"The template adds files where yours are. Move these away: {', '.join(sorted(taken))}"
        )


def not_folder(path: Path) -> bool:
    """Return whether a file or a symbolic link is at a path."""
    return path.is_symlink() or (path.exists() and not path.is_dir())


def refuse_unknown(answers: list[str], questions: str) -> None:
    """Raise ToolError for an answer without a question, which Copier accepts silently."""
    for answer in answers:
        name, equals, _ = answer.partition("=")
        if not equals or not re.search(rf"^{re.escape(name)}:", questions, re.MULTILINE):
            known = re.findall(r"^([a-z]\w*):", questions, re.MULTILINE)
            raise ToolError(f"Unknown answer {answer}: write name=value for {', '.join(known)}.")


def refuse_ignored(answers: list[str], rendered: str) -> None:
    """Raise ToolError for an answer whose question is skipped because of other answers."""
    for answer in answers:
        name = answer.partition("=")[0]
        if not re.search(rf"^{re.escape(name)}:", rendered, re.MULTILINE):
            raise ToolError(f"The other answers skip the question {name}: change them, or omit it.")


def changelog(template: Template, version: str) -> list[str]:
    """Return the changelog's lines about versions that the service does not have yet."""
    before = template.text(template.version, "CHANGELOG.md").splitlines()
    after = template.text(version, "CHANGELOG.md").splitlines()
    known = {line for line in before if line.startswith("## [")} - {UNRELEASED}
    said = takewhile(lambda line: line not in known, after)
    lines = dropwhile(lambda line: not line.startswith("## ["), said)
    return [line for line in lines if line and line != UNRELEASED]


def unset(old: dict[str, Path], new: dict[str, Path]) -> list[str]:
    """Return new settings that `.env` does not name."""

    def named(path: Path | None) -> list[str]:
        text = path.read_text("utf-8", "replace") if path and path.exists() else ""
        return re.findall(r"^#?([A-Z_]+)=", text, re.MULTILINE)

    if not (ROOT / ".env").exists():
        return []
    known = {*named(old.get(".env.example")), *named(ROOT / ".env")}
    return [name for name in named(new.get(".env.example")) if name not in known]


def heads() -> list[str]:
    """Return the migration heads if there are several: `alembic upgrade head` needs one."""
    said = [assigned(path) for path in sorted((ROOT / REVISIONS).glob("*.py"))]
    before = {name for each in said for name in each.get("down_revision", [])}
    last = [name for each in said for name in each.get("revision", []) if name not in before]
    return last if len(last) > 1 else []


def assigned(path: Path) -> dict[str, list[str]]:
    """Return the strings that a module assigns to each name; none if its syntax is broken."""
    found: dict[str, list[str]] = {}
    try:
        body = ast.parse(path.read_bytes()).body
    except (SyntaxError, ValueError):
        return found
    for node in body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            constants = [each for each in ast.walk(node.value) if isinstance(each, ast.Constant)]
            strings = [each.value for each in constants if isinstance(each.value, str)]
            found.update({target.id: strings for target in targets if isinstance(target, ast.Name)})
    return found


def abort() -> int:
    """Undo the update in progress; return the exit code; raises ToolError."""
    snapshot = Snapshot.load()
    if snapshot is None:
        raise ToolError("No update is in progress: nothing is left to undo.")
    if git("rev-parse", "HEAD") != snapshot.commit:
        raise ToolError(
            f"You have committed since the update. To go back, run `git switch {snapshot.branch}`."
        )
    if snapshot.is_under_way():
        go_back(snapshot)
    elif not snapshot.is_committed() and git("status", "--porcelain", "--", "."):
        raise ToolError(
            f"The update is on another branch: run `git switch {snapshot.update_branch}` first."
        )
    # `git branch --delete` keeps a branch that has unmerged commits.
    git("branch", "--quiet", "--delete", snapshot.update_branch, check=False)
    Snapshot.file().unlink()
    if (ROOT / ".venv").exists():
        run("uv", "sync", "--quiet", check=False)
    print(f"The update is undone. You are on {snapshot.branch or snapshot.commit}.")
    if yours := git("status", "--short", "--", "."):
        print("Your changes since the update are still here:", yours, sep="\n")
    return 0


def go_back(snapshot: Snapshot) -> None:
    """Restore only the update's files, since other changes are the user's work."""
    literally = (*UNHOOKED, "--literal-pathspecs")
    if snapshot.changed:
        git(*literally, "checkout", "--quiet", snapshot.commit, "--", *snapshot.changed)
    if snapshot.added:
        git(*literally, "reset", "--quiet", "--", *snapshot.added, check=False)
    for path in snapshot.added:
        delete(path)
    back = [snapshot.branch] if snapshot.branch else ["--detach", snapshot.commit]
    git(*UNHOOKED, "switch", "--quiet", *back)


def dry_run(source: str | None, to: str | None, answers: list[str], *, checks: bool) -> int:
    """Update a copy of the last commit, print the differences; return the exit code."""
    with TemporaryDirectory() as folder:
        place = git("rev-parse", "--show-prefix")
        git("clone", "--quiet", "--no-hardlinks", git("rev-parse", "--show-toplevel"), folder)
        copy = Path(folder) / place
        if (ROOT / ".env").exists():
            shutil.copy2(ROOT / ".env", copy / ".env")
        options = [f"--to={to}"] if to else []
        # A relative path of the template is not valid in the copy.
        named = source or read_answers(ROOT)["_src_path"]
        resolved = git_url(named, ROOT)
        if source or (Path(resolved).is_absolute() and not Path(named).is_absolute()):
            options.append(f"--source={resolved}")
        options += [] if checks else ["--no-checks"]
        command = [sys.executable, "-m", "copier_fastapi", "update", *options, *answers]
        code = subprocess.run(command, cwd=copy, check=False).returncode
        git("add", "--intent-to-add", "--", ".", cwd=copy, check=False)
        say("Differences", *git("diff", "HEAD", "--", ".", cwd=copy).splitlines())
        print("\nThis was a dry run: the service is unchanged.")
    return code
