"""Bring a service to a newer version of its template, or back."""

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
# No hook may hold up the way to the branch, or back.
UNHOOKED = ("-c", f"core.hooksPath={os.devnull}")


@dataclass(frozen=True)
class Snapshot:
    """State before an update, to return to."""

    branch: str
    commit: str
    update_branch: str
    # What the update changes or deletes, and what it brings.
    changed: list[str]
    added: list[str]

    @staticmethod
    def file() -> Path:
        """Return its file, in Git's own folder, which no commit and no checkout changes."""
        place = git("rev-parse", "--show-prefix").replace("/", "-")
        return ROOT / git("rev-parse", "--git-path", f"copier-update-{place}state")

    @classmethod
    def load(cls, file: Path | None = None) -> "Snapshot | None":
        """Return the snapshot of the update that is under way, if one is."""
        file = file or cls.file()
        if not file.exists():
            return None
        noted = json.loads(file.read_text("utf-8"))
        # By 0.1.0, which begins when nothing is untracked.
        noted.setdefault("changed", ["."])
        noted.setdefault("added", git("ls-files", "--others", "--exclude-standard").splitlines())
        return cls(**noted)

    def is_under_way(self) -> bool:
        """Return whether the update is neither committed nor left."""
        branch, commit = git("branch", "--show-current"), git("rev-parse", "HEAD")
        return (branch, commit) == (self.update_branch, self.commit)

    def is_committed(self) -> bool:
        """Return whether its branch has commits of its own."""
        return git("rev-parse", "--verify", self.update_branch, check=False) != self.commit

    def save(self) -> None:
        """Write its file, whole or not at all."""
        new = self.file().with_suffix(".new")
        new.write_text(json.dumps(asdict(self)), "utf-8")
        new.replace(self.file())


@dataclass
class Summary:
    """Result of an update, and what it leaves to be done."""

    outcome: Outcome
    heads: list[str] = field(default_factory=list)
    settings: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def needs_somebody(self) -> bool:
        """Return whether something is left to be decided or fixed."""
        left = self.outcome
        return bool(left.conflicts or left.kept or left.revisions or self.heads or self.failed)

    def show(self) -> None:
        """Print what came, what is left to do, and how to undo the update."""
        came = self.outcome
        numbers = {"changed": came.changed, "new": came.added, "gone": came.dropped}
        counted = ", ".join(f"{len(paths)} {how}" for how, paths in numbers.items())
        say("What came", f"files: {counted}; git status names them")
        say("Your edits went along with what the template renamed", *came.carried)
        say("You had deleted these or their folder, and they stay away", *came.left_out)
        say("Your edits of what the template no longer has: use or delete them", *came.kept)
        say(
            "The template no longer has these revisions, but databases may be at them. To drop "
            "their tables: uv run poe revision -m 'drop …'",
            *came.revisions,
        )
        say("Several revisions are the last: uv run alembic merge heads", *self.heads)
        say("Conflicts, marked where they are text: decide, then `git add` them", *came.conflicts)
        say("New settings, which .env.example explains and your .env lacks", *self.settings)
        say("These do not pass", *self.failed)
        say("To keep it, commit and merge this branch; to undo it", "uv run poe update --abort")


def say(title: str, *lines: str) -> None:
    """Print lines under a title, if there are any."""
    if lines:
        print("", f"{title}:", *(f"    {line}" for line in lines), sep="\n", flush=True)


def step(text: str) -> None:
    """Print the next step."""
    print(f"- {text}", flush=True)


def update(source: str | None, to: str | None, answers: list[str], *, checks: bool) -> int:
    """Update on a branch of its own; return 0 if nothing is left to do."""
    refuse_unless_clean()
    with TemporaryDirectory() as folder, Template.of(ROOT, source) as template:
        version = template.find(to) if to else template.next()
        if version == template.version and not answers and not source:
            print(f"It is of {version} already.")
            return 0
        refuse_unknown(answers, template.text(version, "copier.yml"))
        if version == template.version:
            print(f"Of {version} still, with {', '.join(answers) or source}.")
        else:
            print(f"From {template.version} to {version}.")
        say("What it changes", *changelog(template, version))
        print()
        step("Rendering both versions")
        old = template.render(template.version, ROOT / ANSWERS, Path(folder) / "old")
        new = template.render(version, ROOT / ANSWERS, Path(folder) / "new", *answers)
        refuse_ignored(answers, new[ANSWERS].read_text("utf-8"))
        step("Merging them with yours")
        merge = Merge(Path(folder) / "merge")
        summary = Summary(merge.run(Path(folder) / "old", Path(folder) / "new"))
        refuse_if_in_the_way(summary.outcome)
        begin(version, summary.outcome)
        step("Writing what came out")
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
    # It is locked anew afterwards.
    if git("ls-files", "uv.lock"):
        snapshot.changed.append("uv.lock")
    elif not (ROOT / "uv.lock").exists():
        snapshot.added.append("uv.lock")
    snapshot.save()
    step(f"On a branch of its own: {name}")
    git(*UNHOOKED, "switch", "--quiet", "--create", name)


def check() -> list[str]:
    """Run checks and tests; return the command that failed, if one did."""
    for command in ("uv lock", "uv sync", "uv run poe check", "uv run poe test"):
        step(command)
        done = run(*command.split(), check=False)
        if done.returncode:
            print(done.stdout[-5_000:], done.stderr[-5_000:], sep="\n")
            return [command]
    return []


def refuse_unless_clean() -> None:
    """Raise ToolError if there is something that an update, or its undoing, might lose."""
    snapshot = Snapshot.load()
    if snapshot and snapshot.is_under_way():
        raise ToolError("An update is under way: commit it, or `uv run poe update --abort`.")
    if dirty := git("status", "--porcelain", "--untracked-files=all", "--", "."):
        raise ToolError(f"Commit or stash what you have changed, then update:\n{dirty}")
    for other in Snapshot.file().parent.glob("copier-update-*state"):
        noted = Snapshot.load(other)
        if other != Snapshot.file() and noted and noted.is_under_way():
            raise ToolError("The update of another service is under way on this branch: commit it.")


def refuse_if_in_the_way(outcome: Outcome) -> None:
    """Raise ToolError if something that Git ignores is where the update brings a file."""
    taken: set[str] = set()
    for path in outcome.added:
        own = ROOT / path
        above = [each for each in (own, *own.parents) if ROOT in each.parents]
        taken.update(str(each.relative_to(ROOT)) for each in above if not_folder(each))
        taken.update(f"{path}/{inner}" for inner in (files(own) if own.is_dir() else ()))
    if taken := taken - set(outcome.dropped):
        raise ToolError(
            f"Move these away, for the template brings files: {', '.join(sorted(taken))}"
        )


def not_folder(path: Path) -> bool:
    """Return whether something other than a folder is there."""
    return path.is_symlink() or (path.exists() and not path.is_dir())


def refuse_unknown(answers: list[str], questions: str) -> None:
    """Raise ToolError for an answer to nothing that is asked: Copier takes it without a word."""
    for answer in answers:
        name, equals, _ = answer.partition("=")
        if not equals or not re.search(rf"^{re.escape(name)}:", questions, re.MULTILINE):
            known = re.findall(r"^([a-z]\w*):", questions, re.MULTILINE)
            raise ToolError(f"Nothing asks for {answer}: write name=value, of {', '.join(known)}.")


def refuse_ignored(answers: list[str], rendered: str) -> None:
    """Raise ToolError for an answer to what is not asked beside the others."""
    for answer in answers:
        name = answer.partition("=")[0]
        if not re.search(rf"^{re.escape(name)}:", rendered, re.MULTILINE):
            raise ToolError(f"With the other answers, nothing asks for {name}.")


def changelog(template: Template, version: str) -> list[str]:
    """Return the lines of the changelog about the versions between."""
    before = template.text(template.version, "CHANGELOG.md").splitlines()
    after = template.text(version, "CHANGELOG.md").splitlines()
    known = {line for line in before if line.startswith("## [")} - {UNRELEASED}
    said = takewhile(lambda line: line not in known, after)
    lines = dropwhile(lambda line: not line.startswith("## ["), said)
    return [line for line in lines if line and line != UNRELEASED]


def unset(old: dict[str, Path], new: dict[str, Path]) -> list[str]:
    """Return the settings that are new, and that `.env` does not name."""

    def named(path: Path | None) -> list[str]:
        text = path.read_text("utf-8", "replace") if path and path.exists() else ""
        return re.findall(r"^#?([A-Z_]+)=", text, re.MULTILINE)

    if not (ROOT / ".env").exists():
        return []
    known = {*named(old.get(".env.example")), *named(ROOT / ".env")}
    return [name for name in named(new.get(".env.example")) if name not in known]


def heads() -> list[str]:
    """Return the last revisions if there are several: Alembic takes one at a time."""
    said = [assigned(path) for path in sorted((ROOT / REVISIONS).glob("*.py"))]
    before = {name for each in said for name in each.get("down_revision", [])}
    last = [name for each in said for name in each.get("revision", []) if name not in before]
    return last if len(last) > 1 else []


def assigned(path: Path) -> dict[str, list[str]]:
    """Return the strings that a module assigns to each of its names; none if it is broken."""
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
    """Undo the update that is under way; return the exit code."""
    snapshot = Snapshot.load()
    if snapshot is None:
        raise ToolError("No update is under way.")
    if git("rev-parse", "HEAD") != snapshot.commit:
        raise ToolError(
            f"You have committed since: `git switch {snapshot.branch}` is what was before."
        )
    if snapshot.is_under_way():
        go_back(snapshot)
    elif not snapshot.is_committed() and git("status", "--porcelain", "--", "."):
        raise ToolError(
            f"This is not its branch: `git switch {snapshot.update_branch}`, and try again."
        )
    # Unless there is more on it than there was.
    git("branch", "--quiet", "--delete", snapshot.update_branch, check=False)
    Snapshot.file().unlink()
    if (ROOT / ".venv").exists():
        run("uv", "sync", "--quiet", check=False)
    print(f"All is as it was, on {snapshot.branch or snapshot.commit}.")
    if yours := git("status", "--short", "--", "."):
        print("Besides, there is what you have changed since:", yours, sep="\n")
    return 0


def go_back(snapshot: Snapshot) -> None:
    """Undo an update file by file: what else has changed since is somebody's work."""
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
    """Update a copy of what is committed, show what that changes, and delete the copy."""
    with TemporaryDirectory() as folder:
        place = git("rev-parse", "--show-prefix")
        git("clone", "--quiet", "--no-hardlinks", git("rev-parse", "--show-toplevel"), folder)
        copy = Path(folder) / place
        if (ROOT / ".env").exists():
            shutil.copy2(ROOT / ".env", copy / ".env")
        options = [f"--to={to}"] if to else []
        # The copy lies elsewhere: a relative path would lead nowhere from there.
        named = source or read_answers(ROOT)["_src_path"]
        resolved = git_url(named, ROOT)
        if source or (Path(resolved).is_absolute() and not Path(named).is_absolute()):
            options.append(f"--source={resolved}")
        options += [] if checks else ["--no-checks"]
        command = [sys.executable, "-m", "copier_fastapi", "update", *options, *answers]
        code = subprocess.run(command, cwd=copy, check=False).returncode
        git("add", "--intent-to-add", "--", ".", cwd=copy, check=False)
        say("The difference", *git("diff", "HEAD", "--", ".", cwd=copy).splitlines())
        print("\nNothing was changed: this was a copy.")
    return code
