"""Questions of Copier in a terminal of 80 columns: no word is cut off."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import pytest

from tests.matrix import questions
from tests.project import clean_environment

COLUMNS, ROWS = 80, 40
ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|\][^\x07]*\x07|[()=>].?)|\r|\x07")
ENTER, DOWN, CLEAR, REDRAW = "\r", "\x1b[B", "\x15", "\x0c"
# Seconds to wait for a text, enough for a machine that pauses.
PATIENCE = 60

# Refused answers of each question, with the complete message for each.
REFUSED = {
    "project_name": {
        "1st": "Begin with a letter, a-z or A-Z.",
        "Caf\u00e9": "Use letters, digits, spaces, . _ -",
        "Two  Words": "Use single spaces between words.",
        "a" * 51: "Use at most 50 characters.",
        "json": "Add a word: a Python module.",
        "lambda": "Add a word: a Python keyword.",
        "FastAPI": "Add a word: a package it uses.",
        "domains": "Add a word: a folder it has.",
        "postgres": "Add a word: a database name.",
    },
    "project_slug": {
        "1st": "Begin with a letter, a-z.",
        "Orders": "Begin with a letter, a-z.",
        "or_ders": "Use only a-z, 0-9 and hyphens.",
        "a--b": "Use single hyphens between words.",
        "a" * 51: "Use at most 50 characters.",
    },
    "description": {
        " ": "Say what the service is for.",
        "x" * 501: "Use at most 500 characters.",
        "a\u200bb": "Remove invisible characters.",
    },
    "gunicorn_workers": {"many": 'Use "auto", or 1 to 99.'},
    "gunicorn_timeout": {"1": "Use 5 to 3600 seconds."},
    "stop_grace": {"1": "Use 15 to 3600 seconds."},
    "gunicorn_graceful_timeout": {"1": "Use 10 to 29."},
    "gunicorn_keep_alive": {"0": "Use 1 to 3600 seconds."},
    "gunicorn_max_requests": {"1": "Use 0 or 100 to 10000000."},
    "gunicorn_max_requests_jitter": {"99999999": "Use 0 to 50000."},
}


class Terminal:
    """Program in a terminal, with the text shown since the last keys."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.shown = ""

    def expect(self, text: str) -> None:
        """Wait until the whole text is shown."""
        deadline = monotonic() + PATIENCE
        while text not in self.shown:
            assert monotonic() < deadline, f"{text!r} is not shown:\n{self.shown[-2_000:]}"
            if select.select([self._descriptor], [], [], 1)[0]:
                try:
                    came = os.read(self._descriptor, 65_536).decode(errors="replace")
                except OSError:
                    came = ""
                assert came, f"{text!r} was not shown before the exit:\n{self.shown[-2_000:]}"
                if "\x1b[6n" in came:
                    # The program asks for the position of the cursor, and waits for an answer.
                    os.write(self._descriptor, b"\x1b[1;1R")
                self.shown += ESCAPES.sub("", came)

    def send(self, keys: str) -> None:
        """Clear the text shown so far, then press keys."""
        self.shown = ""
        os.write(self._descriptor, keys.encode())


@contextmanager
def copier(template: Path, folder: Path) -> Iterator[Terminal]:
    """Run `copier copy` in a terminal."""
    command = [sys.executable, "-W", "ignore", "-m", "copier", "copy", str(template), str(folder)]
    process, descriptor = pty.fork()
    if process == 0:
        os.execve(command[0], command, clean_environment(TERM="xterm"))  # noqa: S606 - our own
    try:
        fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        yield Terminal(descriptor)
    finally:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        os.close(descriptor)


def test_every_word_of_every_question_fits(template: Path, tmp_path: Path) -> None:
    with copier(template, tmp_path / "service") as terminal:
        for name, question in questions().items():
            if question.get("when") is False:
                continue
            offered = question.get("choices", [])
            lines = [*question["help"].splitlines(), *(offered or [])]
            for line in lines:
                terminal.expect(line)
            for answer, sentence in REFUSED.get(name, {}).items():
                terminal.send(f"{CLEAR}{answer}{ENTER}{REDRAW}")
                terminal.expect(f"Validation error for question '{name}': {sentence}")
            if name in REFUSED:
                terminal.send(CLEAR)
                default = str(question["default"])
                answer = {"project_name": "Acme", "project_slug": "acme"}.get(name, default)
                answer = {
                    "gunicorn_graceful_timeout": "25",
                    "gunicorn_max_requests_jitter": "9",
                }.get(name, answer)
                terminal.send(f"{answer}{ENTER}")
            else:
                terminal.send(DOWN + ENTER if name == "gunicorn_settings" else ENTER)
        terminal.expect("uv run poe setup")
    assert (tmp_path / "service/pyproject.toml").exists()


@pytest.mark.parametrize("name", questions())
def test_a_question_is_short(name: str) -> None:
    """Limit a question to 70 characters, its consequence to 77 and each choice to 75."""
    question = questions()[name]
    asked, consequence = question["help"].splitlines()
    assert len(asked) <= 70
    assert len(consequence) <= 77
    assert not [choice for choice in question.get("choices", []) if len(choice) > 75]


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_begin_with_the_fix(name: str) -> None:
    for sentence in REFUSED[name].values():
        assert sentence.split()[0] in {"Add", "Begin", "Remove", "Say", "Use"}
        assert len(f"Validation error for question '{name}': {sentence}") <= COLUMNS
