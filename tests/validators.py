"""Validators for Dockerfile, Compose, CI and other files; each text is validated once."""

import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

BIN = Path(sys.executable).parent

SCHEMA = ["check-jsonschema", "--builtin-schema"]
# Each command must exit with 0 for the file of that name.
VALIDATORS = {
    ".github/workflows/ci.yml": [
        [*SCHEMA, "vendor.github-workflows"],
        ["zizmor", "--offline", "--no-progress"],
    ],
    ".gitlab-ci.yml": [[*SCHEMA, "vendor.gitlab-ci"]],
    ".pre-commit-config.yaml": [["pre-commit", "validate-config"]],
    "Dockerfile": [["hadolint", "--strict-labels", "--failure-threshold=style"]],
    "compose.override.yaml": [[*SCHEMA, "vendor.compose-spec"]],
    "compose.yaml": [[*SCHEMA, "vendor.compose-spec"]],
    "renovate.json": [[*SCHEMA, "vendor.renovate"]],
}


@cache
def complaints(name: str, text: str) -> str:
    """Return the errors that the validators print for a file's text, or nothing."""
    with TemporaryDirectory() as folder:
        file = Path(folder, name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return "".join(
            done.stdout + done.stderr
            for command in VALIDATORS[name]
            if (done := _run(command, file)).returncode
        )


def _run(command: list[str], file: Path) -> subprocess.CompletedProcess[str]:
    name, *options = command
    return subprocess.run(
        [BIN / name, *options, file.name],
        cwd=file.parent,
        capture_output=True,
        text=True,
        check=False,
    )
