"""Make a fresh checkout ready to work in: `uv run poe setup`, which has installed the packages."""

import re
import secrets
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Do every step that is not done yet; gives the exit code: 0 if all of them are."""
    failed = False
    for step in (repository, settings, hooks, database):
        try:
            print(f"- {step()}", flush=True)
        except (OSError, subprocess.CalledProcessError) as error:
            failed = True
            print(f"! {error}\n{getattr(error, 'output', '')}".rstrip(), flush=True)
    print("\nNow: uv run poe dev" if not failed else "\nFix what is marked with !, and try again.")
    return int(failed)


def repository() -> str:
    """Begin a Git repository: without one, nothing can be updated."""
    if any((folder / ".git").exists() for folder in (ROOT, *ROOT.parents)):
        return "Git: there is a repository"
    run("git", "init", "--quiet")
    return "Git: began a repository; commit what is here"


def settings() -> str:
    """Write `.env`, with secrets that are nobody else's."""
    file = ROOT / ".env"
    made = not file.exists()
    if made:
        file.touch(mode=0o600)
        file.write_text((ROOT / ".env.example").read_text())
    text = file.read_text()
    # Those that others of its files insist on.
    insisted = (re.findall(r"\$\{(\w+):\?", path.read_text()) for path in ROOT.glob("*.yaml"))
    names = sorted({"SECRET_KEY"}.union(*insisted))
    missing = [name for name in names if not re.search(rf"^{name}=.", text, re.MULTILINE)]
    for name in missing:
        line = f"{name}={secrets.token_hex(32)}"
        text, found = re.subn(rf"^#?{name}=$", line, text, count=1, flags=re.MULTILINE)
        if not found:
            text = f"{text.rstrip()}\n{line}\n"
    file.write_text(text)
    written = f"a fresh {' and '.join(missing)}" if missing else "its secrets are there"
    return f".env: {'made, ' if made else ''}{written}"


def hooks() -> str:
    """Have each commit checked."""
    if run("git", "rev-parse", "--show-prefix"):
        return "Commits: pre-commit reads its configuration at the repository's root alone"
    hook = ROOT / run("git", "rev-parse", "--git-path", "hooks/pre-commit")
    if hook.exists() and "pre-commit" in hook.read_text():
        return "Commits: they are checked"
    run("uv", "run", "pre-commit", "install")
    return "Commits: each will be checked"


def database() -> str:
    """Bring the database to the newest revision."""
    run("uv", "run", "poe", "migrate")
    return "Database: at its newest revision"


def run(*command: str) -> str:
    """Run a command to its end, and return what it printed."""
    return subprocess.check_output(command, cwd=ROOT, stderr=subprocess.STDOUT, text=True).strip()


if __name__ == "__main__":
    sys.exit(main())
