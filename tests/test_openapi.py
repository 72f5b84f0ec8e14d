"""Whichever way a service goes, and wherever it keeps its data, its clients see one interface."""

import json
from collections.abc import Callable
from typing import Any

from tests.matrix import Answers, runtime_product
from tests.project import Project

PRINT = "import json, app.main; print(json.dumps(app.main.create_app().openapi(), indent=1))"
URLS = {
    "postgresql": "postgresql://nobody@127.0.0.1:1/nothing",
    "sqlite": "sqlite:///nothing.db",
}


def test_every_service_has_the_same_document(
    service: Project, install: Callable[[Answers], Project]
) -> None:
    has_jobs = service.answers["cpu_jobs"] != "none"
    like = {"cpu_jobs": "process_pool" if has_jobs else "none"}
    first = next(answers for answers in runtime_product() if answers.items() >= like.items())
    assert json.dumps(document(service)) == json.dumps(document(install(first)))


def test_jobs_are_all_that_some_services_have_more(install: Callable[[Answers], Project]) -> None:
    services = runtime_product()
    without = document(install(next(each for each in services if each["cpu_jobs"] == "none")))
    having = document(install(next(each for each in services if each["cpu_jobs"] == "celery")))
    assert "/api/v1/users/me" in without["paths"]
    assert "/api/v1/simulations" in having["paths"]
    assert without_jobs(having) == without


def without_jobs(document: dict[str, Any]) -> dict[str, Any]:
    """Return what is left of a document without the example of heavy work."""
    paths = {k: v for k, v in document["paths"].items() if "/simulations" not in k}
    schemas = document["components"]["schemas"]
    own = {"Prices", "SimulationForm", "SimulationState", "Status"}
    left = {name: schema for name, schema in schemas.items() if name not in own}
    components = document["components"] | {"schemas": left}
    return document | {"paths": paths, "components": components}


def document(service: Project) -> dict[str, Any]:
    """Return a service's OpenAPI document, as it prints it."""
    printed = service.run(
        "uv",
        "run",
        "python",
        "-c",
        PRINT,
        ENVIRONMENT="development",
        DATABASE_URL=URLS[str(service.answers["database"])],
        BROKER_URL="redis://127.0.0.1:1/0",
        REDIS_URL="redis://127.0.0.1:1/0",
    )
    parsed: dict[str, Any] = json.loads(printed)
    return parsed
