"""Faster Copier for tests: each text of the template is compiled once for all processes.

python tests/quick_copier.py copy …           same result as `copier copy …`
python tests/quick_copier.py tool update …    same result as `copier-fastapi update …`
"""

import hashlib
import marshal
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir
from types import CodeType
from unittest import mock

from copier._main import Worker
from jinja2 import Environment
from jinja2 import __version__ as version

QUICK_COPIER = __file__
# Compiled texts are cached by hash, in this process and in files of this user.
_COMPILED: dict[str, CodeType] = {}
_BY = f"{os.getuid()}-{sys.implementation.cache_tag}-{version}"
_FOLDER = Path(gettempdir()) / f"compiled-templates-{_BY}"


@contextmanager
def quick_renders() -> Iterator[None]:
    """Compile each text once, and skip Copier's question to Git about file modes."""
    compile_text: Callable[..., CodeType] = Environment.compile
    render_string: Callable[..., str] = Worker._render_string  # noqa: SLF001 - no public hook
    _FOLDER.mkdir(mode=0o700, exist_ok=True)

    def compile_once(
        self: Environment, source: str, name: str | None = None, *rest: object, **options: object
    ) -> CodeType:
        syntax = (
            self.block_start_string,
            self.trim_blocks,
            self.lstrip_blocks,
            self.keep_trailing_newline,
        )
        key = hashlib.sha256(repr((source, name, syntax)).encode()).hexdigest()
        if key not in _COMPILED:
            file = _FOLDER / key
            try:
                code = marshal.loads(file.read_bytes())  # noqa: S302 - a file of our own
            except FileNotFoundError:
                code = compile_text(self, source, name, *rest, **options)
                new = file.with_suffix(f".{os.getpid()}")
                new.write_bytes(marshal.dumps(code))
                new.replace(file)
            _COMPILED[key] = code
        return _COMPILED[key]

    def render_marks(self: Worker, text: str, *rest: object, **options: object) -> str:
        # Copier collects all answers for each part of each path, and most parts have no mark.
        marks = (self.jinja_env.variable_start_string, self.jinja_env.block_start_string, "{#")
        if not any(map(text.__contains__, marks)):
            return text
        return render_string(self, text, *rest, **options)

    # Copier renders the name of the answers file again for each part of each path.
    answers_name = property(
        lambda worker: Path(worker.answers_file or worker.template.answers_relpath)
    )

    with (
        mock.patch.object(Environment, "compile", compile_once),
        mock.patch.object(Worker, "answers_relpath", answers_name),
        mock.patch.object(Worker, "_render_string", render_marks),
        mock.patch("copier._main.Worker._sync_git_index_executable_bit"),
    ):
        yield


if __name__ == "__main__":
    from copier._cli import CopierApp
    from copier_fastapi.cli import main

    with quick_renders():
        if sys.argv[1:2] == ["tool"]:
            sys.exit(main(sys.argv[2:]))
        CopierApp.run()
