"""The service that the tool works on: the one in whose folder it runs."""

import os
import shlex
import subprocess
from pathlib import Path

ROOT = Path.cwd()
ANSWERS = ".copier-answers.yml"
# Variables about another repository, or about the tool's own packages.
ELSEWHERE = ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "VIRTUAL_ENV")


class ToolError(Exception):
    """A command cannot go on; the message says what to do."""


def forget_others() -> None:
    """Remove from the environment what is not about the service."""
    for name in ELSEWHERE:
        os.environ.pop(name, None)


def run(
    *command: str, cwd: Path = ROOT, check: bool = True, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and keep its output; raises ToolError if it must not fail."""
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
        sentence = f"There is no command {command[0]}: install it, then try again."
        raise ToolError(sentence) from None
    if check and done.returncode:
        raise ToolError(f"{shlex.join(command)} failed:\n{done.stdout}{done.stderr}".rstrip())
    return done


def git(*arguments: str, cwd: Path = ROOT, check: bool = True) -> str:
    """Return what Git prints, without the newline at its end."""
    return run("git", *arguments, cwd=cwd, check=check).stdout.rstrip("\n")


def files(folder: Path) -> dict[str, Path]:
    """Return every file in a folder, by its path from there."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file() or path.is_symlink())
    return {path.relative_to(folder).as_posix(): path for path in found}
