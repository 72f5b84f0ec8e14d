"""Command line of the tool, for the folder of a service.

copier-fastapi update                     update the service to the newest release
copier-fastapi update --to v1.2.0         update the service to this version
copier-fastapi update answer=value        change an answer too
copier-fastapi update --dry-run           show the changes, in a copy
copier-fastapi update --abort             undo the update
copier-fastapi doctor                     list files that differ from the template's render
copier-fastapi delete-example             delete the example's domains, revisions and tests
"""

import argparse
import sys

from copier_fastapi import doctor, example, update
from copier_fastapi.service import ToolError, forget_others, git
from copier_fastapi.update import Snapshot


def main(arguments: list[str] | None = None) -> int:
    """Run a command; return its exit code, 0 if nothing is left to do."""
    options = parser().parse_args(arguments)
    forget_others()
    try:
        if options.command == "doctor":
            return doctor.compare(options.source, diff=options.diff, strict=options.exit_code)
        require_repository()
        if options.command == "delete-example":
            return example.delete_example()
        return run_update(options)
    except (ToolError, OSError, KeyboardInterrupt) as error:
        print(f"\n{str(error) or 'Interrupted.'}", file=sys.stderr)
        if options.command == "update" and not options.abort:
            show_way_back()
    return 1


def parser() -> argparse.ArgumentParser:
    """Return the parser of the commands and their options."""
    described = argparse.ArgumentParser("copier-fastapi", description="Keep a service up to date.")
    commands = described.add_subparsers(dest="command", required=True, metavar="COMMAND")
    source = argparse.ArgumentParser(add_help=False)
    source.add_argument("--source", metavar="URL", help="new URL of the template, if moved")

    for_update = commands.add_parser(
        "update", parents=[source], help="bring the service to a newer version of its template"
    )
    for_update.add_argument("--to", metavar="VERSION", help="default: the newest release")
    for_update.add_argument("--dry-run", action="store_true", help="show the changes, in a copy")
    for_update.add_argument("--abort", action="store_true", help="undo the update")
    for_update.add_argument("--no-checks", action="store_true", help="skip checks and tests")
    for_update.add_argument("answers", nargs="*", metavar="answer=value", help="answers to change")

    for_doctor = commands.add_parser(
        "doctor", parents=[source], help="list files that differ from the template's render"
    )
    for_doctor.add_argument("--diff", action="store_true", help="show each difference")
    for_doctor.add_argument("--exit-code", action="store_true", help="1 if template files differ")

    commands.add_parser("delete-example", help="delete the example's domains and tests")
    return described


def run_update(options: argparse.Namespace) -> int:
    """Update the service, show an update in a copy, or undo one; return the exit code."""
    if options.abort:
        return update.abort()
    if options.dry_run:
        return update.dry_run(options.source, options.to, options.answers, checks=checks(options))
    return update.update(options.source, options.to, options.answers, checks=checks(options))


def checks(options: argparse.Namespace) -> bool:
    """Return whether checks and tests follow the update."""
    return not options.no_checks


def require_repository() -> None:
    """Raise ToolError unless the service is in a Git repository with a commit."""
    if git("rev-parse", "--is-inside-work-tree", check=False) != "true":
        raise ToolError("There is no Git repository: run `uv run poe setup`.")
    if not git("rev-parse", "--verify", "--quiet", "HEAD", check=False):
        raise ToolError("The repository has no commit: commit the service first.")


def show_way_back() -> None:
    """Print how to undo an update that has begun."""
    snapshot = Snapshot.load()
    if snapshot and snapshot.is_under_way():
        print("To undo the update, run: uv run poe update --abort", file=sys.stderr)
