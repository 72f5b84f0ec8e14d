"""Rendered and installed services for the benchmarks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.matrix import TEMPLATE, Answers, runtime_product
from tests.project import Project


@contextmanager
def installed(wanted: Callable[[Answers], object] = lambda _: True) -> Iterator[list[Project]]:
    """Render and install every service of `runtime_product` that `wanted` accepts."""
    with TemporaryDirectory() as folder:
        services = [
            Project.render(TEMPLATE, Path(folder) / str(number), answers)
            for number, answers in enumerate(filter(wanted, runtime_product()))
        ]
        for service in services:
            service.run("uv", "sync", "--quiet")
        yield services
