"""The command line, which runs in the folder of a service.

copier-fastapi update                     bring the service to the newest version
copier-fastapi update --to v1.2.0         to that one
copier-fastapi update answer=value        change an answer too
copier-fastapi update --dry-run           show what would happen, in a copy
copier-fastapi update --abort             return to what was before
copier-fastapi doctor                     compare the service with what its template renders
copier-fastapi delete-example             delete the example's domains, revisions and tests
"""

import argparse
import sys

from copier_fastapi import doctor, example, update
from copier_fastapi.service import ToolError, forget_others, git
from copier_fastapi.update import Snapshot


def main(arguments: list[str] | None = None) -> int:
    """Run a command; return its exit code: 0 if nothing is left to do."""
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
    """Describe the commands and their options."""
    described = argparse.ArgumentParser("copier-fastapi", description="Keep a service up to date.")
    commands = described.add_subparsers(dest="command", required=True, metavar="COMMAND")
    source = argparse.ArgumentParser(add_help=False)
    source.add_argument("--source", metavar="URL", help="where the template is, if it has moved")

    for_update = commands.add_parser(
        "update", parents=[source], help="bring the service to a newer version of its template"
    )
    for_update.add_argument("--to", metavar="VERSION", help="which; otherwise the newest release")
    for_update.add_argument("--dry-run", action="store_true", help="show it, in a copy")
    for_update.add_argument("--abort", action="store_true", help="return to what was before")
    for_update.add_argument("--no-checks", action="store_true", help="do not run checks and tests")
    for_update.add_argument("answers", nargs="*", metavar="answer=value", help="answers to change")

    for_doctor = commands.add_parser(
        "doctor", parents=[source], help="compare the service with what its template renders"
    )
    for_doctor.add_argument("--diff", action="store_true", help="show each difference")
    for_doctor.add_argument("--exit-code", action="store_true", help="1 if the template's differ")

    commands.add_parser("delete-example", help="delete the example's domains and their tests")
    return described


def run_update(options: argparse.Namespace) -> int:
    """Update, show what an update would do, or undo one."""
    if options.abort:
        return update.abort()
    if options.dry_run:
        return update.dry_run(options.source, options.to, options.answers, checks=checks(options))
    return update.update(options.source, options.to, options.answers, checks=checks(options))


def checks(options: argparse.Namespace) -> bool:
    """Return whether the update is checked."""
    return not options.no_checks


def require_repository() -> None:
    """Raise ToolError unless there is a Git repository with a commit."""
    if git("rev-parse", "--is-inside-work-tree", check=False) != "true":
        raise ToolError("There is no Git repository: uv run poe setup")
    if not git("rev-parse", "--verify", "--quiet", "HEAD", check=False):
        raise ToolError("Commit what is here first.")


def show_way_back() -> None:
    """Say how to undo an update that has begun."""
    snapshot = Snapshot.load()
    if snapshot and snapshot.is_under_way():
        print("To return to what was before: uv run poe update --abort", file=sys.stderr)
