"""Whichever way a service goes, and wherever it keeps its data, its clients see one interface."""

from collections.abc import Callable

from tests.matrix import Answers, runtime_product
from tests.project import Project

PRINT = "import json, app.main; print(json.dumps(app.main.create_app().openapi(), indent=1))"
URLS = {
    "postgresql": "postgresql://nobody@127.0.0.1:1/nothing",
    "sqlite": "sqlite:///nothing.db",
}


def test_every_service_has_the_same_document(install: Callable[[Answers], Project]) -> None:
    first, *others = [install(answers) for answers in runtime_product()]
    expected = document(first)
    assert '"/api/v1/users/me"' in expected
    for other in others:
        assert document(other) == expected


def document(service: Project) -> str:
    """Return a service's OpenAPI document, as it prints it."""
    return service.run(
        "uv",
        "run",
        "python",
        "-c",
        PRINT,
        ENVIRONMENT="development",
        DATABASE_URL=URLS[str(service.answers["database"])],
        REDIS_URL="redis://127.0.0.1:1/0",
    )
