"""Template of a service: its source, its versions, and their renders."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import copier

from copier_fastapi.service import ANSWERS, ToolError, files, git, run

_SOURCE = re.compile("^_src_path: .*", re.MULTILINE)
_MADE_OF = re.compile(r"^(_commit|_src_path): '?([^'\n]+)'?$", re.MULTILINE)
_HOSTS = {"gh:": "https://github.com/", "gl:": "https://gitlab.com/"}


@dataclass(frozen=True)
class Template:
    """Clone of the template, with the version that the service has now."""

    clone: Path
    version: str
    # The new URL, if the template has moved.
    source: str | None

    @classmethod
    @contextmanager
    def of(cls, service: Path, source: str | None = None) -> Iterator["Template"]:
        """Clone the template of a service, or `source` if given; raises ToolError."""
        made_of = read_answers(service)
        with TemporaryDirectory() as folder:
            clone = Path(folder) / "template"
            url = git_url(source or made_of["_src_path"], service)
            done = run("git", "clone", "--quiet", "--", url, str(clone), cwd=service, check=False)
            if done.returncode:
                raise ToolError(
                    f"The template cannot be cloned from {url}:\n{done.stderr.strip()}\n"
                    "If the template has moved, run: uv run poe update --source URL"
                )
            yield cls(clone, made_of["_commit"], source)

    def newest(self) -> str:
        """Return the newest tag of three numbers, which excludes pre-releases; raises ToolError."""
        tags = git("tag", cwd=self.clone).splitlines()
        releases = [tag for tag in tags if re.fullmatch(r"v?\d+\.\d+\.\d+", tag)]
        if not releases:
            raise ToolError("The template has no release yet: publish one, then try again.")
        return max(releases, key=lambda tag: [int(part) for part in tag.lstrip("v").split(".")])

    def next(self) -> str:
        """Return the newest release, or the version of the service if that is newer."""
        newest = self.newest()
        compared = ["merge-base", "--is-ancestor", newest, self.version]
        is_newer = run("git", *compared, cwd=self.clone, check=False).returncode == 0
        return self.version if is_newer else newest

    def find(self, version: str) -> str:
        """Return the tag or commit of a version, with or without a `v`; raises ToolError."""
        for name in (version, f"v{version}"):
            commit = ["--verify", "--quiet", name + "^{commit}"]
            if git("rev-parse", *commit, cwd=self.clone, check=False):
                return name
        sentence = f"The template has no version {version}; the newest is {self.newest()}."
        raise ToolError(sentence)

    def text(self, version: str, path: str) -> str:
        """Return a file of the template repository; an empty string if the version has none."""
        return git("show", f"{version}:{path}", cwd=self.clone, check=False)

    def render(self, version: str, answers: Path, folder: Path, *changes: str) -> dict[str, Path]:
        """Render a version with a service's answers, changed by `name=value`; return its files."""
        self.find(version)
        folder.mkdir()
        own = folder / ANSWERS
        text = answers.read_text("utf-8")
        own.write_text(_SOURCE.sub(f"_src_path: {self.clone}", text), "utf-8")
        try:
            copier.run_recopy(
                folder,
                data=dict(change.split("=", 1) for change in changes),
                vcs_ref=version,
                defaults=True,
                overwrite=True,
                quiet=True,
                settings=copier.Settings(),
            )
        except Exception as error:
            raise ToolError(f"Copier cannot render {version}: {error}") from error
        source = f"_src_path: {self.source}" if self.source else _SOURCE.findall(text)[0]
        own.write_text(_SOURCE.sub(lambda _: source, own.read_text("utf-8")), "utf-8")
        return files(folder)


def read_answers(service: Path) -> dict[str, str]:
    """Return source and version of a service's template; raises ToolError."""
    answers = service / ANSWERS
    if not answers.exists():
        raise ToolError(f"{ANSWERS}, which names the template, is missing: restore it from Git.")
    found = _MADE_OF.findall(answers.read_text("utf-8"))
    known = dict(found)
    if len(found) != len(known) or known.keys() != {"_commit", "_src_path"}:
        raise ToolError(f"{ANSWERS} does not name one template: restore the file from Git.")
    return known


def git_url(source: str, service: Path) -> str:
    """Convert a source in Copier's notation to a URL or path for Git."""
    for short, long in _HOSTS.items():
        source = re.sub(f"^{short}", long, source)
    source = source.removeprefix("git+")
    # Copier stores a path as given, relative to the folder of the service or one above.
    paths = [folder / Path(source).expanduser() for folder in (service, *service.parents)]
    return next((str(path) for path in paths if path.exists()), source)
