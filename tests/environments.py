"""Virtual environments for services; services that declare the same packages share one."""

import fcntl
import hashlib
import json
import os
import shutil
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.project import Project, execute

UNION = """\
[project]
name = "union"
version = "0"
requires-python = ">=3.11"
dependencies = {dependencies}

[tool.uv]
package = false
"""


def declared(service: Project) -> tuple[list[str], list[str]]:
    """Return the packages that a service declares: for production, and for development."""
    project = tomllib.loads((service.folder / "pyproject.toml").read_text())
    return project["project"]["dependencies"], project["dependency-groups"]["dev"]


def install(service: Project, python: str, folder: Path) -> None:
    """Install the packages that a service declares, and no others, on a version of Python.

    The folder keeps the environment and the lock file for services that declare the same packages.
    """
    digest = hashlib.sha256(json.dumps(declared(service)).encode()).hexdigest()[:16]
    key = f"python{python}-{digest}"
    environment = folder / key
    lock = folder / f"{key}.uv.lock"
    with alone(folder / f"{key}.flock"):
        if not lock.exists():
            sync = ("uv", "sync", "--quiet", "--python", python)
            service.run(*sync, UV_PROJECT_ENVIRONMENT=str(environment))
            reuse_bytecode(environment, folder.glob(f"python{python}-*/"))
            shutil.copy(service.folder / "uv.lock", lock)
    shutil.copy(lock, service.folder / "uv.lock")
    (service.folder / ".venv").symlink_to(environment)


def reuse_bytecode(environment: Path, others: Iterable[Path]) -> None:
    """Link compiled modules of other environments, so that few packages are compiled twice.

    Python compares each with the size and time of its source, which uv links from its cache.
    """
    for other in others:
        for compiled in other.glob("lib/**/__pycache__/*.pyc"):
            link = environment / compiled.relative_to(other)
            if link.parent.parent.is_dir() and not link.exists():
                link.parent.mkdir(exist_ok=True)
                link.hardlink_to(compiled)


def install_union(services: Iterable[Project], python: str, folder: Path) -> Path:
    """Return an environment with the packages of all services."""
    packages = {package for each in services for part in declared(each) for package in part}
    union = folder / "union"
    with alone(folder / "union.flock"):
        if not (union / "uv.lock").exists():
            union.mkdir(exist_ok=True)
            text = UNION.format(dependencies=json.dumps(sorted(packages)))
            (union / "pyproject.toml").write_text(text)
            execute(["uv", "sync", "--quiet", "--python", python], union)
    return union / ".venv"


def mypy_cache(service: Project, python: Path, shared: Path) -> Path:
    """Return a mypy cache for this process, filled with the packages of the service.

    Only the first process checks the packages, which takes as long as ten services; others copy.
    """
    version = execute([str(python), "-c", "import sys; print(sys.version_info[1])"], shared).strip()
    own = shared / f"mypy-{version}-{os.getpid()}"
    warm = shared / f"mypy-{version}"
    if not own.exists():
        with alone(shared / f"mypy-{version}.flock"):
            if not warm.exists():
                service.run(str(python.parent / "mypy"), "--cache-dir", str(warm))
        shutil.copytree(warm, own)
    return own


@contextmanager
def alone(file: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file, so that one worker at a time creates an environment."""
    with file.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
