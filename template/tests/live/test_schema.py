"""Requests made from the OpenAPI document, valid and not: none may break the service."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings

from app.main import create_app
from tests import databases
from tests.live.service import Service
from tests.settings import make_settings


@pytest.fixture
def headers(service: Service) -> dict[str, str]:
    """What signs the requests of a new user."""
    return service.sign_up()


# The document needs no database.
app = create_app(make_settings(databases.NOWHERE))
schema = schemathesis.openapi.from_dict(app.openapi())


def build_test(label: str) -> Any:
    """Return the test of one operation of the schema."""

    @schema.include(name=label).parametrize()
    @settings(
        max_examples=30,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def test(case: schemathesis.Case[Any], service: Service, headers: dict[str, str]) -> None:
        for signed in (headers, {}):
            response = case.call(base_url=service.url, headers=signed)
            assert response.status_code < 500, response.text

    return test


# A function each: pytest-xdist runs one test of those that parametrize() makes of one function,
# since all of them have the same id.
for path in schema:
    for method in schema[path]:
        label = f"{method.upper()} {path}"
        globals()[f"test_no_request_breaks_the_service[{label}]"] = build_test(label)
