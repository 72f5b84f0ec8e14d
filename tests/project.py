"""Rendered services: render one, run commands in its folder, read its files."""

import logging
import os
import shlex
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import copier

from tests.matrix import Answers, label
from tests.quick_copier import quick_renders
from tests.timing import kind_of, step

log = logging.getLogger(__name__)

# A service would read these variables from the tests' environment or a developer's shell.
NOT_INHERITED = frozenset(
    {
        "BROKER_URL",
        "DATABASE_URL",
        "ENVIRONMENT",
        "HOST",
        "PORT",
        # With this variable, each process compiles every package anew: three seconds per start.
        "PYTHONDONTWRITEBYTECODE",
        "REDIS_URL",
        "SECRET_KEY",
        "WEB_CONCURRENCY",
        "VIRTUAL_ENV",
    }
)


class CommandError(AssertionError):
    """Raised when a command fails; the message contains its output."""


def execute(command: list[str], folder: Path, **environment: str) -> str:
    """Run a command in a folder, with the variables of a fresh shell; return its output.

    Raises CommandError if the command fails. When the test times out, every process that the
    command started is killed.
    """
    with (
        step(kind_of(shlex.join(command))),
        subprocess.Popen(
            command,
            cwd=folder,
            env=clean_environment(**environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process,
    ):
        try:
            output, errors = process.communicate()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode:
        raise CommandError(
            f"{shlex.join(command)} failed ({process.returncode}):\n{output}{errors}"
        )
    return output


def clean_environment(**extra: str) -> dict[str, str]:
    """Return the variables of a fresh shell without user settings, and the extra variables."""
    inherited = {k: v for k, v in os.environ.items() if k not in NOT_INHERITED}
    own = str(Path(sys.executable).parent)
    path = [folder for folder in os.environ["PATH"].split(os.pathsep) if folder != own]
    fresh = {
        "COPIER_SETTINGS_PATH": os.devnull,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "PATH": os.pathsep.join(path),
    }
    return inherited | fresh | extra


@dataclass(frozen=True)
class Project:
    """Rendered service: its folder and its answers."""

    folder: Path
    answers: Answers

    @classmethod
    def render(
        cls, template: Path | str, folder: Path, answers: Answers, vcs_ref: str | None = None
    ) -> Self:
        """Render a service in this process, without prompts or the user's settings."""
        with step("render"), quick_renders():
            copier.run_copy(
                str(template),
                folder,
                data=dict(answers),
                defaults=True,
                quiet=True,
                settings=copier.Settings(),
                vcs_ref=vcs_ref,
            )
        return cls(folder, answers)

    def run(self, *command: str, **environment: str) -> str:
        """Log a command and run it in the service's folder; return its output."""
        log.info("%s  [%s]", shlex.join(command), label(self.answers))
        return execute(list(command), self.folder, **environment)

    def files(self) -> dict[str, str]:
        """Return the text of every file by its path, without the files in .git."""
        paths = (path.relative_to(self.folder) for path in sorted(self.folder.rglob("*")))
        return {
            path.as_posix(): (self.folder / path).read_text("utf-8")
            for path in paths
            if path.parts[0] != ".git" and (self.folder / path).is_file()
        }
