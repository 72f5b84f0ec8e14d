"""Processes of a compose.yaml, run without Docker beside servers that are already running."""

import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.image import Image
from tests.project import CommandError


def load(folder: Path, variables: Mapping[str, str]) -> dict[str, Any]:
    """Read a compose.yaml; raises KeyError if a required variable is not set."""
    text = (folder / "compose.yaml").read_text()
    loaded: dict[str, Any] = yaml.safe_load(interpolate(text, variables))
    return loaded


def load_for_development(folder: Path, variables: Mapping[str, str]) -> dict[str, Any]:
    """Read compose.yaml and the override file, as `docker compose` does by default."""
    services = load(folder, variables)["services"]
    override = yaml.safe_load((folder / "compose.override.yaml").read_text())["services"]
    assert override.keys() <= services.keys()
    return {
        name: {
            **config,
            **override.get(name, {}),
            "environment": {
                **config.get("environment", {}),
                **override.get(name, {}).get("environment", {}),
            },
        }
        for name, config in services.items()
    }


def interpolate(text: str, variables: Mapping[str, str]) -> str:
    """Substitute variables as Compose does: `${NAME}`, `${NAME:-default}`, `${NAME:?message}`."""

    def value(match: re.Match[str]) -> str:
        name, how, rest = match.groups()
        if given := variables.get(name):
            return given
        if how == ":?":
            raise KeyError(f"{name}: {rest}")
        return rest or ""

    return re.sub(r"\$\{(\w+)(?:(:[?-])([^}]*))?\}", value, text)


def seconds(text: str) -> float:
    """Return a duration such as `30s` or `1m` in seconds."""
    return float(text[:-1]) * {"s": 1, "m": 60}[text[-1]]


@dataclass(frozen=True)
class Container:
    """Process of an image, with the settings of Compose and of this machine."""

    image: Image
    config: dict[str, Any]
    environment: dict[str, str]
    log: Path
    process: subprocess.Popen[str]

    def check(self) -> None:
        """Run the health check; raises AssertionError with its output."""
        test = self.config.get("healthcheck", {}).get("test") or ["CMD", *self.image.healthcheck]
        kind, *words = test
        command = ["sh", "-c", *words] if kind == "CMD-SHELL" else words
        try:
            self.image.run(command, self.environment)
        except CommandError as error:
            raise AssertionError(f"{error}\n{self.log.read_text()[-3_000:]}") from None

    def wait_until_healthy(self) -> None:
        """Wait until the health check passes; raises AssertionError after 120 seconds."""
        deadline = time.monotonic() + 120
        while True:
            assert self.process.poll() is None, self.log.read_text()
            try:
                self.check()
            except AssertionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
            else:
                return


@contextmanager
def running(
    image: Image, config: dict[str, Any], here: Mapping[str, str], log: Path
) -> Iterator[Container]:
    """Run a service of Compose, which must stop on SIGTERM within its grace period."""
    environment = {name: str(value) for name, value in config["environment"].items()} | {**here}
    command = config.get("command", image.command)
    with (
        log.open("w") as file,
        image.with_own_temporary() as own,
        own.popen(command, environment, file) as process,
    ):
        try:
            yield Container(own, config, environment, log, process)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                code = process.wait(timeout=seconds(config.get("stop_grace_period", "10s")))
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        assert code in {0, 128 + signal.SIGTERM}, log.read_text()[-3_000:]
