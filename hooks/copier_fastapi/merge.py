"""Merge of a template's changes into a service, done by Git in a temporary repository.

Git reads the service's last commit there, without the user's settings, attributes or filters.
"""

import os
import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from copier_fastapi.service import ANSWERS, ROOT, ToolError, git, run

REVISIONS = "migrations/versions/"
# Users add lines below MARKER; releases up to 0.1.1 have FORMER_MARKER. Git reports a conflict for
# a line added beside a changed one, so both sides get MARKER before the merge.
MARKER = "# Add yours below."
FORMER_MARKER = "# Your own."
AS_THEY_ARE = "* !text !eol !ident !filter !working-tree-encoding !diff !merge"


@dataclass
class Outcome:
    """Result of a merge: changed files, and files that need the user's attention."""

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    carried: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    revisions: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)


class Merge:
    """Temporary repository that merges the new version into the service."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        # The hash algorithm must be that of the user's repository, whose objects this one reads.
        hashes = git("rev-parse", "--show-object-format")
        self._git("init", "--quiet", f"--object-format={hashes}")
        store = Path(ROOT, git("rev-parse", "--git-path", "objects")).resolve()
        for path, text in (("objects/info/alternates", store), ("info/attributes", AS_THEY_ARE)):
            file = folder / ".git" / path
            file.parent.mkdir(exist_ok=True)
            file.write_text(f"{text}\n")

    def run(self, old: Path, new: Path, *, is_newer: bool) -> Outcome:
        """Merge the changes between two renders, of two versions or of other answers."""
        out = Outcome()
        mine = git("rev-parse", "HEAD:./")
        before, theirs = self._tree(old), self._tree(new)
        renamed = self._renamed(before, theirs, mine, is_newer=is_newer)
        marked = self._containing(MARKER, theirs)
        base = self._commit(self._remark(self._rename(before, renamed), marked))
        ours = self._commit(self._remark(self._rename(mine, renamed), marked), base)
        came = self._commit(theirs, base)

        # The template's renames are applied above; Git would guess others from similar contents.
        self._git("reset", "--quiet", "--hard", ours)
        options = ["--quiet", "--no-ff", "--no-commit", "--strategy-option=no-renames"]
        merged = self._git("merge", *options, came, check=False)
        if not (self.folder / ".git/MERGE_HEAD").exists() and ours != came:
            raise ToolError(f"Git cannot merge the new version:\n{merged}")
        self._git("checkout", came, "--", ANSWERS)
        self._settle(out)
        brought = self._names(theirs) - self._names(base) - self._names(ours)
        self._leave_out(out, brought, folders(self._names(before)) - folders(self._names(mine)))
        self._keep_revisions(out, ours)

        edited = self._status(before, mine)
        out.carried = [f"{a} -> {b}" for a, b in sorted(renamed.items()) if edited.get(a) == "M"]
        self._git("add", "--all", "--force")
        for path, what in sorted(self._status(mine, self._git("write-tree")).items()):
            {"A": out.added, "D": out.dropped}.get(what, out.changed).append(path)
        return out

    def write(self, out: Outcome) -> None:
        """Write the result into the service."""
        for path in out.dropped:
            delete(path)
        for path in (*out.changed, *out.added):
            (ROOT / path).unlink(missing_ok=True)
            (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(self.folder / path, ROOT / path, follow_symlinks=False)

    def _settle(self, out: Outcome) -> None:
        """Resolve files that one side deleted; list other conflicts, which Git has marked."""
        stages: dict[str, set[str]] = {}
        for entry in filter(None, self._git("ls-files", "--unmerged", "-z").split("\0")):
            how, _, path = entry.partition("\t")
            stages.setdefault(path, set()).add(how.split()[2])
        for path, present in stages.items():
            if present == {"1", "3"}:
                self._git("rm", "--quiet", "--force", "--", path)
                out.left_out.append(path)
            elif present == {"1", "2"} and path.startswith(REVISIONS):
                out.revisions.append(path)
            elif present == {"1", "2"}:
                (self.folder / path).rename(self.folder / f"{path}.kept")
                out.kept.append(f"{path}.kept")
            else:
                out.conflicts.append(path)

    def _leave_out(self, out: Outcome, brought: set[str], gone: set[str]) -> None:
        """Leave out files that the template adds to folders deleted by the user."""
        for path in sorted(brought):
            if gone & folders({path}) and (self.folder / path).exists():
                (self.folder / path).unlink()
                out.left_out.append(path)

    def _keep_revisions(self, out: Outcome, ours: str) -> None:
        """Keep revisions that the template no longer renders: databases may be at them."""
        for path in sorted(self._names(ours)):
            if path.startswith(REVISIONS) and not (self.folder / path).exists():
                self._git("checkout", ours, "--", path)
                out.revisions.append(path)

    def _renamed(self, before: str, theirs: str, mine: str, *, is_newer: bool) -> dict[str, str]:
        """Return the new name of each file that the template renamed, if that name is free."""
        # A version may move and rewrite a file; other answers bring files that only look alike.
        found = "--find-renames=30%" if is_newer else "--find-renames=50%"
        compared = ["diff", found, "--diff-filter=R", "--name-status", "-z", before, theirs]
        words = self._git(*compared).split("\0")
        pairs = dict(zip(words[1::3], words[2::3], strict=False))
        if is_newer:
            changed = self._status(before, theirs)
            dropped = by_name({path for path in changed if changed[path] == "D"} - pairs.keys())
            added = by_name({path for path in changed if changed[path] == "A"} - {*pairs.values()})
            pairs |= {dropped[name]: added[name] for name in dropped.keys() & added.keys()}
        names = self._names(mine)
        taken = names | folders(names)
        return {old: new for old, new in pairs.items() if new not in taken}

    def _rename(self, tree: str, renamed: dict[str, str]) -> str:
        self._git("read-tree", tree)
        for entry in filter(None, self._git("ls-files", "--stage", "-z").split("\0")):
            how, _, path = entry.partition("\t")
            if path in renamed:
                mode, blob, _ = how.split()
                self._git("update-index", "--force-remove", "--", path)
                self._git("update-index", "--add", "--cacheinfo", f"{mode},{blob},{renamed[path]}")
        return self._git("write-tree")

    def _containing(self, text: str, tree: str) -> set[str]:
        """Return the files of a tree that contain a text."""
        arguments = ["--files-with-matches", "-z", "--fixed-strings", text, tree]
        found = self._git("grep", *arguments, check=False).split("\0")
        return {path.removeprefix(f"{tree}:") for path in found if path}

    def _remark(self, tree: str, marked: set[str]) -> str:
        """Replace the former marker in files of a tree; return the new tree."""
        self._git("read-tree", tree)
        for path in sorted(marked & self._containing(FORMER_MARKER, tree)):
            self._git("checkout-index", "--force", "--", path)
            file = self.folder / path
            text = file.read_bytes().replace(FORMER_MARKER.encode(), MARKER.encode())
            file.write_bytes(text)
            self._git("add", "--force", "--", path)
        return self._git("write-tree")

    def _tree(self, folder: Path) -> str:
        """Store a folder as a Git tree; return its hash."""
        self._git("read-tree", "--empty")
        self._git(f"--work-tree={folder}", "add", "--all", "--force", ".", cwd=folder)
        return self._git("write-tree")

    def _commit(self, tree: str, *parents: str) -> str:
        before = [word for parent in parents for word in ("-p", parent)]
        return self._git("commit-tree", "-m", "Snapshot", *before, tree)

    def _names(self, tree: str) -> set[str]:
        return set(self._git("ls-tree", "-r", "-z", "--name-only", tree).split("\0")) - {""}

    def _status(self, before: str, after: str) -> dict[str, str]:
        """Return the status of each file: A added, M modified, D deleted, T type changed."""
        compared = ["diff", "--no-renames", "--name-status", "-z", before, after]
        words = self._git(*compared).split("\0")
        return dict(zip(words[1::2], words[::2], strict=False))

    def _git(self, *arguments: str, cwd: Path | None = None, check: bool = True) -> str:
        own = {
            "GIT_DIR": str(self.folder / ".git"),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
        }
        identity = ["-c", "user.name=update", "-c", "user.email=update"]
        command = ["git", *identity, *arguments]
        done = run(*command, cwd=cwd or self.folder, check=check, **own)
        return done.stdout.rstrip("\n")


def by_name(paths: set[str]) -> dict[str, str]:
    """Return the paths by their file names, without names that several have."""
    names = Counter(Path(path).name for path in paths)
    return {Path(path).name: path for path in paths if names[Path(path).name] == 1}


def folders(paths: set[str]) -> set[str]:
    """Return every folder above one of the paths."""
    return {str(above) for path in paths for above in Path(path).parents} - {"."}


def delete(path: str) -> None:
    """Delete a file of the service, and the folders that become empty."""
    (ROOT / path).unlink(missing_ok=True)
    for folder in (ROOT / path).parents:
        if folder == ROOT or (folder.exists() and any(folder.iterdir())):
            break
        if folder.exists():
            folder.rmdir()
