"""Deletion of the example, for a service that starts without its domains."""

import re
import shutil

from copier_fastapi.merge import REVISIONS, delete
from copier_fastapi.service import ROOT, ToolError
from copier_fastapi.update import refuse_unless_clean

_DOMAINS = ("auth", "simulations", "users")
_REVISIONS = (f"{REVISIONS}0001_users.py", f"{REVISIONS}0002_simulations.py")
# These tests and helpers create users or submit simulations.
_TESTS = (
    "accounts.py",
    "core/cache/test_store.py",
    "core/cache/test_threads.py",
    "core/database/test_engine.py",
    "core/database/test_sqlite.py",
    "core/jobs/test_lease.py",
    "core/jobs/test_queue.py",
    "live/simulator.py",
    "live/test_cache_outage.py",
    "live/test_hostile.py",
    "live/test_load.py",
    "live/test_outage.py",
    "live/test_process_pool.py",
    "live/test_schema.py",
    "live/test_serving.py",
    "live/test_simulations.py",
    "live/test_worker.py",
    "live/uncancellable_job.py",
    "live/workers.py",
    "test_main.py",
)
_FIXTURES = re.compile(
    r"^from tests\.accounts import [^\n]*\n"
    r"|\n\n\n@pytest\.fixture\n(?:async )?def (?:ann|bob)\(.*?(?=\n\n\n|\Z)",
    re.DOTALL | re.MULTILINE,
)


def delete_example() -> int:
    """Delete the example's domains, their revisions and tests; return the exit code."""
    refuse_unless_clean()
    folders = [
        folder
        for domain in _DOMAINS
        for folder in (f"app/domains/{domain}", f"tests/domains/{domain}")
        if (ROOT / folder).is_dir()
    ]
    if not any(folder.startswith("app/") for folder in folders):
        raise ToolError("The example has been deleted already: nothing is left to do.")
    paths = [f"tests/{test}" for test in _TESTS]
    own = {path.name for path in (ROOT / REVISIONS).glob("*.py")}
    keeps_revisions = bool(own - {revision.removeprefix(REVISIONS) for revision in _REVISIONS})
    if not keeps_revisions:
        paths += _REVISIONS
    paths = [path for path in paths if (ROOT / path).is_file()]
    for folder in folders:
        shutil.rmtree(ROOT / folder)
        print(f"    {folder}/")
    for path in paths:
        delete(path)
        print(f"    {path}")
    conftest = ROOT / "tests/conftest.py"
    if conftest.is_file():
        conftest.write_text(without_fixtures(conftest.read_text("utf-8")), "utf-8")
    print(f"\nDeleted: {len(folders)} folders and {len(paths)} files.")
    if keeps_revisions:
        print("The example's revisions stay, since yours follow them. To drop its tables, run:")
        print("    uv run poe revision -m 'drop the example'")
    print("To undo the deletion, run: git restore .")
    return 0


def without_fixtures(conftest: str) -> str:
    """Return the text of a conftest.py without the example's users."""
    return f"{_FIXTURES.sub('', conftest).rstrip()}\n"
