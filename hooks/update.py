"""Bring this service to a newer version of its template: `poe update`.

poe update                        to the newest version
poe update --to v1.2.0            to that one
poe update answer=value           and change an answer
poe update --dry-run              show what would happen, in a copy
poe update --abort                go back to what was before
"""

import argparse
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

from scripts.merge import REVISIONS, Merge, Outcome, delete
from scripts.template import ANSWERS, ROOT, Failed, Template, files, git, run

UNRELEASED = "## [Unreleased]"
# No hook may hold up the way to the branch, or back.
UNHOOKED = ("-c", f"core.hooksPath={os.devnull}")


@dataclass(frozen=True)
class Before:
    """What there was before an update, to go back to."""

    branch: str
    commit: str
    update_branch: str
    # What the update changes or deletes, and what it brings.
    changed: list[str]
    added: list[str]

    @staticmethod
    def file() -> Path:
        """Where it is noted: Git's own folder, which no commit and no checkout changes."""
        place = git("rev-parse", "--show-prefix").replace("/", "-")
        return ROOT / git("rev-parse", "--git-path", f"copier-update-{place}state")

    @classmethod
    def load(cls, file: Path | None = None) -> "Before | None":
        """That of the update that is under way, if one is."""
        file = file or cls.file()
        if not file.exists():
            return None
        noted = json.loads(file.read_text("utf-8"))
        # By 0.1.0, which begins when nothing is untracked.
        noted.setdefault("changed", ["."])
        noted.setdefault("added", git("ls-files", "--others", "--exclude-standard").splitlines())
        return cls(**noted)

    def is_under_way(self) -> bool:
        """Whether it is neither committed nor left."""
        branch, commit = git("branch", "--show-current"), git("rev-parse", "HEAD")
        return (branch, commit) == (self.update_branch, self.commit)

    def is_committed(self) -> bool:
        """Whether there is more on its branch than there was."""
        return git("rev-parse", "--verify", self.update_branch, check=False) != self.commit

    def save(self) -> None:
        """Note it, whole or not at all."""
        new = self.file().with_suffix(".new")
        new.write_text(json.dumps(asdict(self)), "utf-8")
        new.replace(self.file())


@dataclass
class Summary:
    """What an update did, and what it leaves to be done."""

    outcome: Outcome
    heads: list[str] = field(default_factory=list)
    settings: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def needs_somebody(self) -> bool:
        """Whether it left something to be decided or mended."""
        left = self.outcome
        return bool(left.conflicts or left.kept or left.revisions or self.heads or self.failed)

    def show(self) -> None:
        """Print it: what came, what needs somebody, how to go on or back."""
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
    """Say what is done next."""
    print(f"- {text}", flush=True)


def main(arguments: list[str]) -> int:
    """Update, or go back; gives the exit code: 0 if nothing needs anybody."""
    parser = argparse.ArgumentParser("poe update", description="Update from the template.")
    parser.add_argument("--to", metavar="VERSION", help="which; otherwise the newest release")
    parser.add_argument("--dry-run", action="store_true", help="in a copy, and show what changes")
    parser.add_argument("--abort", action="store_true", help="go back to what was before")
    parser.add_argument("--no-checks", action="store_true", help="leave checks and tests for later")
    parser.add_argument("answers", nargs="*", metavar="answer=value", help="answers that change")
    options = parser.parse_args(arguments)
    try:
        if git("rev-parse", "--is-inside-work-tree", check=False) != "true":
            print("There is no Git repository: uv run poe setup", file=sys.stderr)
            return 1
        if not git("rev-parse", "--verify", "--quiet", "HEAD", check=False):
            raise Failed("Commit what is here first.")
        if options.abort:
            return abort()
        if options.dry_run:
            return try_out([a for a in arguments if a != "--dry-run"])
        return update(options.to, options.answers, checks=not options.no_checks)
    except (Failed, OSError, KeyboardInterrupt) as error:
        print(f"\n{str(error) or 'Interrupted.'}", file=sys.stderr)
        if not options.abort and (before := Before.load()) and before.is_under_way():
            print("To go back to what was before: uv run poe update --abort", file=sys.stderr)
    return 1


def update(to: str | None, answers: list[str], *, checks: bool) -> int:
    """Go to a version on a branch of its own; gives the exit code."""
    refuse_unless_clean()
    with TemporaryDirectory() as folder, Template.of(ROOT) as template:
        version = template.find(to) if to else template.next()
        if version == template.version and not answers:
            print(f"It is of {version} already.")
            return 0
        refuse_unknown(answers, template.text(version, "copier.yml"))
        if version == template.version:
            print(f"Of {version} still, with {', '.join(answers)}.")
        else:
            print(f"From {template.version} to {version}.")
        say("What it changes", *news(template, version))
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
    """Note what is there, then go to a new branch."""
    taken = git("branch", "--format=%(refname:short)").splitlines()
    name = f"update-{version}"
    while name in taken:
        name += "-again"
    before = Before(
        branch=git("branch", "--show-current"),
        commit=git("rev-parse", "HEAD"),
        update_branch=name,
        changed=outcome.changed + outcome.dropped,
        added=list(outcome.added),
    )
    # It is locked anew afterwards.
    if git("ls-files", "uv.lock"):
        before.changed.append("uv.lock")
    elif not (ROOT / "uv.lock").exists():
        before.added.append("uv.lock")
    before.save()
    step(f"On a branch of its own: {name}")
    git(*UNHOOKED, "switch", "--quiet", "--create", name)


def check() -> list[str]:
    """Try whether the service still works; gives the command that says that it does not."""
    for command in ("uv lock", "uv sync", "uv run poe check", "uv run poe test"):
        step(command)
        done = run(*command.split(), check=False)
        if done.returncode:
            print(done.stdout[-5_000:], done.stderr[-5_000:], sep="\n")
            return [command]
    return []


def refuse_unless_clean() -> None:
    """Raise Failed if there is something that an update, or its undoing, might lose."""
    before = Before.load()
    if before and before.is_under_way():
        raise Failed("An update is under way: commit it, or `uv run poe update --abort`.")
    if dirty := git("status", "--porcelain", "--untracked-files=all", "--", "."):
        raise Failed(f"Commit or stash what you have changed, then update:\n{dirty}")
    for other in Before.file().parent.glob("copier-update-*state"):
        noted = Before.load(other)
        if other != Before.file() and noted and noted.is_under_way():
            raise Failed("The update of another service is under way on this branch: commit it.")


def refuse_if_in_the_way(outcome: Outcome) -> None:
    """Raise Failed if something that Git ignores is where the update brings a file."""
    taken: set[str] = set()
    for path in outcome.added:
        own = ROOT / path
        above = [each for each in (own, *own.parents) if ROOT in each.parents]
        taken.update(str(each.relative_to(ROOT)) for each in above if not_folder(each))
        taken.update(f"{path}/{inner}" for inner in (files(own) if own.is_dir() else ()))
    if taken := taken - set(outcome.dropped):
        raise Failed(f"Move these away, for the template brings files: {', '.join(sorted(taken))}")


def not_folder(path: Path) -> bool:
    """Whether there is something that is none."""
    return path.is_symlink() or (path.exists() and not path.is_dir())


def refuse_unknown(answers: list[str], questions: str) -> None:
    """Raise Failed for an answer to nothing that is asked: Copier takes it without a word."""
    for answer in answers:
        name, equals, _ = answer.partition("=")
        if not equals or not re.search(rf"^{re.escape(name)}:", questions, re.MULTILINE):
            known = re.findall(r"^([a-z]\w*):", questions, re.MULTILINE)
            raise Failed(f"Nothing asks for {answer}: write name=value, of {', '.join(known)}.")


def refuse_ignored(answers: list[str], rendered: str) -> None:
    """Raise Failed for an answer to what is not asked beside the others."""
    for answer in answers:
        name = answer.partition("=")[0]
        if not re.search(rf"^{re.escape(name)}:", rendered, re.MULTILINE):
            raise Failed(f"With the other answers, nothing asks for {name}.")


def news(template: Template, version: str) -> list[str]:
    """What the changelog says of the versions between."""
    before = template.text(template.version, "CHANGELOG.md").splitlines()
    after = template.text(version, "CHANGELOG.md").splitlines()
    known = {line for line in before if line.startswith("## [")} - {UNRELEASED}
    said = takewhile(lambda line: line not in known, after)
    news = dropwhile(lambda line: not line.startswith("## ["), said)
    return [line for line in news if line and line != UNRELEASED]


def unset(old: dict[str, Path], new: dict[str, Path]) -> list[str]:
    """The settings that are new, and that `.env` does not name."""

    def named(path: Path | None) -> list[str]:
        text = path.read_text("utf-8", "replace") if path and path.exists() else ""
        return re.findall(r"^#?([A-Z_]+)=", text, re.MULTILINE)

    if not (ROOT / ".env").exists():
        return []
    known = {*named(old.get(".env.example")), *named(ROOT / ".env")}
    return [name for name in named(new.get(".env.example")) if name not in known]


def heads() -> list[str]:
    """The revisions that none comes after, if there are several: Alembic takes one at a time."""
    said = [assigned(path) for path in sorted((ROOT / REVISIONS).glob("*.py"))]
    before = {name for each in said for name in each.get("down_revision", [])}
    last = [name for each in said for name in each.get("revision", []) if name not in before]
    return last if len(last) > 1 else []


def assigned(path: Path) -> dict[str, list[str]]:
    """The strings that a module gives each of its names; none if it is broken."""
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
    """Put everything that the update changed back as it was."""
    before = Before.load()
    if before is None:
        raise Failed("No update is under way.")
    if git("rev-parse", "HEAD") != before.commit:
        raise Failed(f"You have committed since: `git switch {before.branch}` is what was before.")
    if before.is_under_way():
        go_back(before)
    elif not before.is_committed() and git("status", "--porcelain", "--", "."):
        raise Failed(f"This is not its branch: `git switch {before.update_branch}`, and try again.")
    # Unless there is more on it than there was.
    git("branch", "--quiet", "--delete", before.update_branch, check=False)
    Before.file().unlink()
    if (ROOT / ".venv").exists():
        run("uv", "sync", "--quiet", check=False)
    print(f"All is as it was, on {before.branch or before.commit}.")
    if yours := git("status", "--short", "--", "."):
        print("Besides, there is what you have changed since:", yours, sep="\n")
    return 0


def go_back(before: Before) -> None:
    """Undo it file by file: what else has changed since is somebody's work."""
    literally = (*UNHOOKED, "--literal-pathspecs")
    if before.changed:
        git(*literally, "checkout", "--quiet", before.commit, "--", *before.changed)
    if before.added:
        git(*literally, "reset", "--quiet", "--", *before.added, check=False)
    for path in before.added:
        delete(path)
    back = [before.branch] if before.branch else ["--detach", before.commit]
    git(*UNHOOKED, "switch", "--quiet", *back)


def try_out(arguments: list[str]) -> int:
    """Update a copy of what is committed, show what that changes, and forget it."""
    with TemporaryDirectory() as folder:
        place = git("rev-parse", "--show-prefix")
        git("clone", "--quiet", "--no-hardlinks", git("rev-parse", "--show-toplevel"), folder)
        copy = Path(folder) / place
        if (ROOT / ".env").exists():
            shutil.copy2(ROOT / ".env", copy / ".env")
        command = [sys.executable, "-m", "scripts.update", *arguments]
        code = subprocess.run(command, cwd=copy, check=False).returncode
        git("add", "--intent-to-add", "--", ".", cwd=copy, check=False)
        say("The difference", *git("diff", "HEAD", "--", ".", cwd=copy).splitlines())
        print("\nNothing was changed: this was a copy.")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
