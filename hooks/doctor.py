"""Say how far this service is from what its template renders: `uv run poe doctor`."""

import argparse
import difflib
import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.template import ANSWERS, ROOT, Failed, Template

TEMPLATES = "The template's"
SHARED = "Shared: yours is what stands at `# Your own.`"
YOURS = "Yours: an example, to be changed"
EXAMPLE = re.compile(r"(app|tests)/domains/\w+/|migrations/versions/|README\.md$")


def main(arguments: list[str]) -> int:
    """Compare file by file; gives 1 if that could not be done, or if drift is not allowed."""
    parser = argparse.ArgumentParser("poe doctor", description="Compare with the template.")
    parser.add_argument("--diff", action="store_true", help="show each difference")
    parser.add_argument("--exit-code", action="store_true", help="1 if the template's differ")
    options = parser.parse_args(arguments)
    try:
        with TemporaryDirectory() as folder, Template.of(ROOT) as template:
            rendered = template.render(template.version, ROOT / ANSWERS, Path(folder) / "fresh")
            newest = template.next()
            differing = [path for path in rendered if differs(path, rendered[path])]
            owners = {path: owner(path, rendered[path]) for path in differing}
            for title in (TEMPLATES, SHARED, YOURS):
                if title in owners.values():
                    print(f"{title}:")
                for path in differing:
                    if owners[path] == title:
                        show(path, rendered[path], diff=options.diff)
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    as_rendered = len(rendered) - len(differing)
    print(f"{as_rendered} of {len(rendered)} files are as {template.version} renders them.")
    if newest != template.version:
        print(f"The newest version is {newest}: uv run poe update")
    return int(options.exit_code and TEMPLATES in owners.values())


def owner(path: str, fresh: Path) -> str:
    """Whose a file is that the template renders."""
    if EXAMPLE.match(path):
        return YOURS
    return SHARED if "# Your own." in fresh.read_text(errors="replace") else TEMPLATES


def differs(path: str, fresh: Path) -> bool:
    """Whether a file is another than what was rendered, or none."""
    own = ROOT / path
    return path != ANSWERS and not (own.is_file() and own.read_bytes() == fresh.read_bytes())


def show(path: str, fresh: Path, *, diff: bool) -> None:
    """Print how a file differs."""
    own = ROOT / path
    if not own.is_file():
        print(f"    deleted    {path}")
        return
    before, after = (file.read_text(errors="replace").splitlines() for file in (fresh, own))
    lines = list(difflib.unified_diff(before, after, f"rendered/{path}", path, lineterm=""))
    added = sum(line.startswith("+") for line in lines[2:])
    removed = sum(line.startswith("-") for line in lines[2:])
    print(f"    {f'+{added} -{removed}':<10} {path}")
    if diff:
        print(*lines, "", sep="\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
