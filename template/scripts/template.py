"""Launcher of the template's tool: `poe update`, `poe doctor`, `poe delete-example`."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main(arguments: list[str]) -> None:
    """Replace this process with the tool's newest release; `--source URL` if the template moved."""
    answers = (ROOT / ".copier-answers.yml").read_text("utf-8")
    given = re.findall(r"--source[= ](\S+)", " ".join(arguments))
    url = git_url((given or re.findall(r"^_src_path: '?([^'\n]+)", answers, re.MULTILINE))[0])
    listing = ["git", "ls-remote", "--tags", "--", url]
    listed = subprocess.run(listing, capture_output=True, check=False, text=True)
    releases = re.findall(r"refs/tags/(v?(\d+)\.(\d+)\.(\d+))$", listed.stdout, re.MULTILINE)
    if not releases:
        reason = listed.stderr.strip() or "There is no release."
        sys.exit(f"{reason}\nLooked for the template at {url}. Add --source URL, if it has moved.")
    newest = max(releases, key=lambda release: tuple(map(int, release[1:])))[0]
    tool = ["uvx", "--from", f"git+{url}@{newest}", "copier-fastapi", *arguments]
    os.execvp("uvx", tool)  # noqa: S606 - our own


def git_url(source: str) -> str:
    """Return the URL, for both uv and Git, of a source as Copier records it."""
    source = re.sub("^gh:", "https://github.com/", source.removeprefix("git+"))
    source = re.sub("^gl:", "https://gitlab.com/", source)
    if there := re.fullmatch(r"([\w.-]+@[\w.-]+):(.+)", source):
        return f"ssh://{there[1]}/{there[2]}"
    if "://" in source:
        return source
    # Copier records a path as given, relative to the folder of the service or to one above.
    paths = [folder / Path(source).expanduser() for folder in (ROOT, *ROOT.parents)]
    return next((path for path in paths if path.exists()), paths[0]).resolve().as_uri()


if __name__ == "__main__":
    main(sys.argv[1:])
