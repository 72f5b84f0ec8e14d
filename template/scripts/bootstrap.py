"""Set-up of a fresh checkout: `uv run poe setup`, which has installed the packages before."""

import re
import secrets
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Run every step that is not done yet; return the exit code, 1 if a step failed."""
    failed = False
    for step in (repository, settings, hooks, database):
        try:
            print(f"- {step()}", flush=True)
        except (OSError, subprocess.CalledProcessError) as error:
            failed = True
            print(f"! {error}\n{getattr(error, 'output', '')}".rstrip(), flush=True)
    print("\nNow: uv run poe dev" if not failed else "\nFix the steps with a !, then try again.")
    return int(failed)


def repository() -> str:
    """Create a Git repository, which updates need."""
    if any((folder / ".git").exists() for folder in (ROOT, *ROOT.parents)):
        return "Git: the repository exists"
    run("git", "init", "--quiet")
    return "Git: created a repository; commit the files"


def settings() -> str:
    """Write `.env` with random secrets."""
    file = ROOT / ".env"
    made = not file.exists()
    if made:
        file.touch(mode=0o600)
        file.write_text((ROOT / ".env.example").read_text())
    text = file.read_text()
    # YAML files require variables as ${NAME:?message}.
    required = (re.findall(r"\$\{(\w+):\?", path.read_text()) for path in ROOT.glob("*.yaml"))
    names = sorted({"SECRET_KEY"}.union(*required))
    missing = [name for name in names if not re.search(rf"^{name}=.", text, re.MULTILINE)]
    for name in missing:
        line = f"{name}={secrets.token_hex(32)}"
        text, found = re.subn(rf"^#?{name}=$", line, text, count=1, flags=re.MULTILINE)
        if not found:
            text = f"{text.rstrip()}\n{line}\n"
    file.write_text(text)
    written = f"a new {' and '.join(missing)}" if missing else "all secrets are set"
    return f".env: {'created, ' if made else ''}{written}"


def hooks() -> str:
    """Install the pre-commit hook."""
    if run("git", "rev-parse", "--show-prefix"):
        return "Commits: not checked, as pre-commit reads its configuration only at the root"
    hook = ROOT / run("git", "rev-parse", "--git-path", "hooks/pre-commit")
    if hook.exists() and "pre-commit" in hook.read_text():
        return "Commits: checked by pre-commit"
    run("uv", "run", "pre-commit", "install")
    return "Commits: pre-commit will check each"


def database() -> str:
    """Migrate the database to the newest revision."""
    run("uv", "run", "poe", "migrate")
    return "Database: at the newest revision"


def run(*command: str) -> str:
    """Run a command; return its output."""
    return subprocess.check_output(command, cwd=ROOT, stderr=subprocess.STDOUT, text=True).strip()


if __name__ == "__main__":
    sys.exit(main())
