"""Images built and run without a container engine: a folder serves as the root of their files.

The steps of a Dockerfile are run in order by the commands of this machine. Paths that begin at the
image's root begin at the folder instead. If root runs the tests, the processes run as the image's
user.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import IO, Any

from dockerfile_parse import DockerfileParser

from tests.project import CommandError, clean_environment

# These parts of the standard library are of no use in an image.
USELESS = shutil.ignore_patterns("__pycache__", "idlelib", "site-packages", "test", "tkinter")

# These folders of this machine serve as those of the image.
THIS_MACHINES = {"bin", "dev", "proc", "usr/bin"}


@dataclass
class Image:
    """Files of an image, and the settings of its processes."""

    root: Path
    # Processes of the image use this folder as `/tmp`.
    temporary: Path
    environment: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: str = ""
    command: list[str] = field(default_factory=list)
    healthcheck: list[str] = field(default_factory=list)

    def path(self, inside: str) -> Path:
        """Return the path on this machine of a path in the image."""
        return self.root / str(Path(self.folder, inside)).lstrip("/")

    def translate(self, text: str) -> str:
        """Replace each absolute path of the image by its path on this machine."""

        def here(path: re.Match[str]) -> str:
            if path[1] in THIS_MACHINES:
                return path[0]
            return str(self.temporary) if path[1] == "tmp" else f"{self.root}/{path[1]}"

        # A path is at the start of a word, of a part of PATH, or of the file in a URL.
        return re.sub(r"""(?:(?<![^\s"'=:])|(?<=///))/(usr/local|usr/bin|\w+)""", here, text)

    @contextmanager
    def with_own_temporary(self) -> Iterator["Image"]:
        """Yield the same image with an empty `/tmp`, which containers do not share."""
        with TemporaryDirectory(dir=self.root.parent) as folder:
            temporary = Path(folder)
            temporary.chmod(0o1777)
            yield replace(self, temporary=temporary)

    def popen(
        self,
        command: list[str],
        environment: Mapping[str, str],
        output: IO[str] | int = subprocess.PIPE,
        *,
        root: bool = False,
    ) -> subprocess.Popen[str]:
        """Start a process as the image's user with only the image's variables, or as root."""
        account: dict[str, Any] = {}
        if not root and os.geteuid() == 0:
            user, _, group = self.user.partition(":")
            account = {"user": int(user), "group": int(group), "extra_groups": []}
        variables = {**self.environment, **environment}
        translated = {name: self.translate(value) for name, value in variables.items()}
        return subprocess.Popen(
            ["/usr/bin/env", "--", *map(self.translate, command)],
            cwd=self.path("."),
            env={
                # A build uses this machine's caches and network settings.
                **(clean_environment() if root else {}),
                **translated,
                "PATH": f"{translated['PATH']}:/usr/bin:/bin",
                "LD_LIBRARY_PATH": str(self.root / "usr/local/lib"),
                "TMPDIR": str(self.temporary),
                **({} if root else {"HOME": "/"}),
            },
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            **account,
        )

    def run(
        self,
        command: list[str],
        environment: Mapping[str, str] | None = None,
        *,
        root: bool = False,
    ) -> str:
        """Run a command in the image; return its output; raises CommandError if it fails."""
        with self.popen(command, environment or {}, root=root) as process:
            printed = process.communicate(timeout=300)[0]
        if process.returncode:
            raise CommandError(f"{shlex.join(command)} failed ({process.returncode}):\n{printed}")
        return printed


@contextmanager
def built(context: Path, python: Path, uv: Path) -> Iterator[Image]:
    """Build the image of a folder's Dockerfile, and delete the image at the end."""
    # Only the owner may read pytest's folder, so the image is outside of that folder.
    folder = Path(mkdtemp(prefix="image-"))
    folder.chmod(0o755)
    try:
        yield Builder(context, folder, python, uv).build()
    finally:
        subprocess.run(["chmod", "--recursive", "u+w", folder], check=True)
        shutil.rmtree(folder)


class Builder:
    """Builder that runs the steps of a Dockerfile."""

    def __init__(self, context: Path, folder: Path, python: Path, uv: Path) -> None:
        self.context = context
        self.folder = folder
        self.python = python
        self.uv = uv
        self.stages: dict[str, Path] = {}
        self.name = ""
        self.image = Image(folder / "root", folder / "tmp")

    def build(self) -> Image:
        """Run all steps; return the image, whose files are then read-only."""
        steps = DockerfileParser(fileobj=StringIO((self.context / "Dockerfile").read_text()))
        self.image.temporary.mkdir()
        self.image.temporary.chmod(0o1777)
        for step in steps.structure:
            if step["instruction"] != "COMMENT":
                getattr(self, step["instruction"].lower())(step["value"])
        # Compose mounts the root read-only; a sticky folder, writable for all users, is a volume.
        for path in [self.image.root, *self.image.root.rglob("*")]:
            if not path.is_symlink() and path.stat().st_mode & 0o1000 == 0:
                path.chmod(path.stat().st_mode & ~0o222)
        return self.image

    def from_(self, value: str) -> None:
        """Start a stage."""
        base, _, name = value.partition(" AS ")
        root = self.image.root
        if root.exists():
            # Every stage is built at the same path, which the first lines of scripts contain.
            self.stages[self.name] = root.rename(self.folder / f"stage-{len(self.stages)}")
        self.name = name
        self.image = Image(root, self.image.temporary)
        (root / "usr/local/bin").mkdir(parents=True)
        self.image.environment["PATH"] = "/usr/local/bin"
        if "/uv:" in base:
            shutil.copy(self.uv, root / "uv")
        elif base.startswith("python:"):
            install(self.python, root / "usr/local")
        else:
            raise NotImplementedError(base)

    def copy(self, value: str) -> None:
        """Copy files of a stage, or files of the context that .dockerignore does not hide."""
        *options, last = shlex.split(value)
        stage, names = "", []
        for option in options:
            if option.startswith("--from="):
                stage = option.removeprefix("--from=")
            else:
                names.append(option)
        target = self.image.path(last)
        origin = self.stages[stage] if stage else self.context
        hidden = [] if stage else patterns(self.context)
        if last.endswith("/"):
            target.mkdir(parents=True, exist_ok=True)
        for name in names:
            source = origin / name.lstrip("/")
            files = [f for f in [source, *source.rglob("*")] if f.is_symlink() or f.is_file()]
            seen = [f for f in files if not is_hidden(f.relative_to(origin).as_posix(), hidden)]
            if not seen:
                raise FileNotFoundError(f"{name} not found: check the path and .dockerignore")
            for file in seen:
                inner = file.relative_to(source) if source.is_dir() else Path(file.name)
                single = source.is_file() and not target.is_dir()
                copy = target if single else target / inner
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file, copy, follow_symlinks=False)
                if source.is_dir():
                    shutil.copymode(file.parent, copy.parent)

    def run(self, value: str) -> None:
        """Run a command as a build does: as root."""
        command = re.sub(r"^(--mount=\S+\s+)+", "", value)
        # The image has no compiler.
        self.image.run(["sh", "-e", "-c", command], {"UV_NO_BUILD": "1"}, root=True)

    def env(self, value: str) -> None:
        """Set variables."""
        for word in shlex.split(value):
            name, _, text = word.partition("=")
            path = self.image.environment["PATH"]
            self.image.environment[name] = text.replace("$PATH", path)

    def workdir(self, value: str) -> None:
        """Set the working directory."""
        self.image.folder = value
        self.image.path(".").mkdir(parents=True, exist_ok=True)

    def user(self, value: str) -> None:
        """Set the user of the processes."""
        self.image.user = value

    def cmd(self, value: str) -> None:
        """Set the command: a JSON list, so that no shell intercepts signals."""
        self.image.command = json.loads(value)

    def healthcheck(self, value: str) -> None:
        """Set the command of the health check."""
        self.image.healthcheck = json.loads(value.partition("CMD ")[2])

    def expose(self, value: str) -> None:
        """Ignore the port, which is documentation only."""


# `from` is a keyword of Python.
setattr(Builder, "from", Builder.from_)


def install(python: Path, prefix: Path) -> None:
    """Install an interpreter at the path that the official images use."""
    script = "import sys; print(sys.base_prefix, '.'.join(map(str, sys.version_info[:2])))"
    printed = subprocess.run([python, "-c", script], capture_output=True, text=True, check=True)
    base, version = printed.stdout.split()
    binary = prefix / f"bin/python{version}"
    if base == "/usr":
        # Every user may run the system's interpreter at its own path.
        binary.symlink_to(f"/usr/bin/python{version}")
    else:
        shutil.copy(Path(base, f"bin/python{version}"), binary)
        library = prefix / f"lib/python{version}"
        shutil.copytree(Path(base, f"lib/python{version}"), library, symlinks=True, ignore=USELESS)
        for shared in Path(base, "lib").glob("libpython*"):
            shutil.copy2(shared, prefix / "lib", follow_symlinks=False)
    for name in ("python", "python3"):
        (prefix / "bin" / name).symlink_to(binary.name)


def patterns(context: Path) -> list[str]:
    """Return the patterns of a folder's .dockerignore."""
    lines = (context / ".dockerignore").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def is_hidden(path: str, hidden: Iterable[str]) -> bool:
    """Return whether the last pattern that matches a path, or a folder above, hides the path."""
    parts = path.split("/")
    answer = False
    for line in hidden:
        pattern = line.removeprefix("!").rstrip("/").split("/")
        if pattern[0] == "**":
            matches = any(fnmatch(part, pattern[1]) for part in parts)
        else:
            above = parts[: len(pattern)]
            matches = len(above) == len(pattern) and all(map(fnmatch, above, pattern))
        if matches:
            answer = not line.startswith("!")
    return answer
