"""OpenAPI documents of services, printed as JSON by folder after every module was imported.

The script needs an environment with the packages of all services, and imports the packages once:
each service is a forked process in which they are loaded already.
"""

import importlib
import json
import os
import pkgutil
import sys
import traceback
from pathlib import Path

SETTINGS = {
    "BROKER_URL": "redis://127.0.0.1:1/0",
    "ENVIRONMENT": "development",
    "REDIS_URL": "redis://127.0.0.1:1/0",
}
URLS = {True: "postgresql://nobody@127.0.0.1:1/nothing", False: "sqlite:///nothing.db"}


def document(folder: Path) -> str:
    """Import every module of a service; return its OpenAPI document as JSON."""
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    is_postgresql = '"asyncpg' in (text := Path("pyproject.toml").read_text()) or "psycopg" in text
    os.environ |= {**SETTINGS, "DATABASE_URL": URLS[is_postgresql]}
    for module in pkgutil.walk_packages(["app"], "app."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    main = importlib.import_module("app.main")
    return json.dumps(main.create_app().openapi())


def in_a_process(folder: Path) -> str:
    """Return the document of a service, or its traceback, from a process of its own."""
    reads, writes = os.pipe()
    if os.fork() == 0:
        code = 1
        with os.fdopen(writes, "w") as pipe:
            try:
                pipe.write(document(folder))
                code = 0
            except BaseException:  # noqa: BLE001 - whatever it raises is reported by its caller
                pipe.write(json.dumps({"error": traceback.format_exc()}))
        os._exit(code)
    os.close(writes)
    with os.fdopen(reads) as pipe:
        text = pipe.read()
    os.wait()
    return text


if __name__ == "__main__":
    for package in ("alembic.config", "celery", "fastapi", "pydantic_settings", "sqlalchemy"):
        importlib.import_module(package)
    print(json.dumps({name: json.loads(in_a_process(Path(name))) for name in sys.argv[1:]}))  # noqa: T201
