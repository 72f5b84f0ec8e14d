"""The template that this service was made from: its versions, and what each of them renders."""

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent
ANSWERS = ".copier-answers.yml"
# Whatever runs Copier 9.19 or newer.
COPIER = shlex.split(os.environ.get("COPIER", "uvx copier"))
ELSEWHERE = {"GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "VIRTUAL_ENV"}
SOURCE = re.compile("^_src_path: .*", re.MULTILINE)
HOSTS = {"gh:": "https://github.com/", "gl:": "https://gitlab.com/"}


class Failed(Exception):
    """It cannot go on; the message says what to do."""


def run(
    *command: str, cwd: Path = ROOT, check: bool = True, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, and keep what it printed; raises Failed if it must not fail."""
    # The environment that this runs in is another project's, when this is about a copy.
    environment = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env={**environment, **variables},
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except FileNotFoundError:
        raise Failed(f"There is no command {command[0]}: install it, then try again.") from None
    if check and done.returncode:
        raise Failed(f"{shlex.join(command)} failed:\n{done.stdout}{done.stderr}".rstrip())
    return done


def git(*arguments: str, cwd: Path = ROOT, check: bool = True) -> str:
    """What Git prints, without the newline at its end."""
    return run("git", *arguments, cwd=cwd, check=check).stdout.rstrip("\n")


def files(folder: Path) -> dict[str, Path]:
    """Every file in a folder, by its path from there."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file() or path.is_symlink())
    return {path.relative_to(folder).as_posix(): path for path in found}


@dataclass(frozen=True)
class Template:
    """A clone of it, and which version the service is of."""

    clone: Path
    version: str

    @classmethod
    @contextmanager
    def of(cls, service: Path) -> Iterator["Template"]:
        """Clone the template of a service; the clone is gone afterwards."""
        answers = service / ANSWERS
        if not answers.exists():
            raise Failed(f"There is no {ANSWERS}: without it, nobody knows what this was made of.")
        made_of = r"^(_commit|_src_path): '?([^'\n]+)'?$"
        said = re.findall(made_of, answers.read_text("utf-8"), re.MULTILINE)
        known = dict(said)
        if len(said) != len(known) or len(known) != len({"_commit", "_src_path"}):
            raise Failed(f"{ANSWERS} does not say once what this was made of: restore it from Git.")
        source = known["_src_path"]
        for short, long in HOSTS.items():
            source = re.sub(f"^{short}", long, source)
        with TemporaryDirectory() as folder:
            clone = Path(folder) / "template"
            git("clone", "--quiet", "--", source.removeprefix("git+"), str(clone), cwd=service)
            yield cls(clone, known["_commit"])

    def newest(self) -> str:
        """The newest release; what is tried out before one has no number of three parts."""
        tags = git("tag", cwd=self.clone).splitlines()
        releases = [tag for tag in tags if re.fullmatch(r"v?\d+\.\d+\.\d+", tag)]
        if not releases:
            raise Failed("The template has no release yet.")
        return max(releases, key=lambda tag: [int(part) for part in tag.lstrip("v").split(".")])

    def next(self) -> str:
        """The newest release, or the version of the service where that is newer."""
        newest = self.newest()
        compared = ["merge-base", "--is-ancestor", newest, self.version]
        is_newer = run("git", *compared, cwd=self.clone, check=False).returncode == 0
        return self.version if is_newer else newest

    def find(self, version: str) -> str:
        """The version that is called so, with or without a `v`; raises Failed if there is none."""
        for name in (version, f"v{version}"):
            commit = ["--verify", "--quiet", name + "^{commit}"]
            if git("rev-parse", *commit, cwd=self.clone, check=False):
                return name
        raise Failed(f"The template has no version {version}: its newest is {self.newest()}.")

    def text(self, version: str, path: str) -> str:
        """A file of the template itself; nothing if that version has none."""
        return git("show", f"{version}:{path}", cwd=self.clone, check=False)

    def render(self, version: str, answers: Path, folder: Path, *changes: str) -> dict[str, Path]:
        """Render a version with the answers of a service, and changes to them: `name=value`."""
        self.find(version)
        folder.mkdir()
        own = folder / ANSWERS
        text = answers.read_text("utf-8")
        own.write_text(SOURCE.sub(f"_src_path: {self.clone}", text), "utf-8")
        data = [f"--data={change}" for change in changes]
        options = ["--vcs-ref", version, "--defaults", "--overwrite", "--quiet"]
        done = run(*COPIER, "recopy", *options, *data, str(folder), check=False)
        if done.returncode:
            reason = (done.stderr or done.stdout).strip().rpartition("\n")[2]
            raise Failed(f"Copier cannot render {version}: {reason}")
        source = SOURCE.findall(text)[0]
        own.write_text(SOURCE.sub(lambda _: source, own.read_text("utf-8")), "utf-8")
        return files(folder)
