"""Requests generated from the OpenAPI document, valid and invalid: none may cause a 5xx."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import DataObject, data

from app.main import create_app
from tests import databases
from tests.live import Service
from tests.settings import make_settings


@pytest.fixture
def headers(service: Service) -> dict[str, str]:
    """Return the headers that authenticate a new user."""
    return service.sign_up()


# The OpenAPI document is built without a database.
app = create_app(make_settings(databases.NOWHERE))
schema = schemathesis.openapi.from_dict(app.openapi())
OPERATIONS = [schema[path][method] for path in schema for method in schema[path]]


@pytest.mark.parametrize("operation", OPERATIONS, ids=[each.label for each in OPERATIONS])
@given(data=data())
@settings(
    max_examples=30,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_generated_requests_cause_no_5xx(
    operation: Any, data: DataObject, service: Service, headers: dict[str, str]
) -> None:
    case = data.draw(operation.as_strategy())
    for signed in (headers, {}):
        response = case.call(base_url=service.url, headers=signed)
        assert response.status_code < 500, response.text
