"""Service in the current folder: its files, its Git repository, and commands run in its folder."""

import os
import shlex
import subprocess
from pathlib import Path

ROOT = Path.cwd()
ANSWERS = ".copier-answers.yml"
# These variables would point Git or uv to another repository or environment.
ELSEWHERE = ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "VIRTUAL_ENV")


class ToolError(Exception):
    """Raised when a command cannot continue; the message says how to fix the cause."""


def forget_others() -> None:
    """Remove variables that belong to other repositories or environments."""
    for name in ELSEWHERE:
        os.environ.pop(name, None)


def run(
    *command: str, cwd: Path = ROOT, check: bool = True, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a command and capture its output; raises ToolError if `check` and the command fails."""
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env={**os.environ, **variables},
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except FileNotFoundError:
        sentence = f"Command not found: {command[0]}. Install the command, then try again."
        raise ToolError(sentence) from None
    if check and done.returncode:
        raise ToolError(f"{shlex.join(command)} failed:\n{done.stdout}{done.stderr}".rstrip())
    return done


def git(*arguments: str, cwd: Path = ROOT, check: bool = True) -> str:
    """Return the output of a Git command, without the final newline."""
    return run("git", *arguments, cwd=cwd, check=check).stdout.rstrip("\n")


def files(folder: Path) -> dict[str, Path]:
    """Return every file in a folder, by its path relative to the folder."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file() or path.is_symlink())
    return {path.relative_to(folder).as_posix(): path for path in found}
