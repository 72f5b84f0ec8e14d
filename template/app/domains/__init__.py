"""Domains of the service: one package each, found without being listed."""

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType


def modules(name: str) -> Iterator[ModuleType]:
    """Import the module `name` of every domain that has one, in alphabetical order."""
    for domain in sorted(info.name for info in pkgutil.iter_modules(__path__) if info.ispkg):
        path = f"{__name__}.{domain}.{name}"
        if find_spec(path):
            yield import_module(path)
