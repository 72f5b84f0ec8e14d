# {% from "includes/unasync.jinja" import unasync with context %}
"""Errors, headers and limits that apply to every route."""

# {% call unasync() %}
from typing import Any

import pytest
from fastapi import FastAPI, HTTPException

from tests.accounts import PASSWORD, Account
from tests.client import Client

ORIGIN = "https://front.example"
PRODUCTION = {"environment": "production", "secret_key": "a secret of production " * 2}
JSON = {"content-type": "application/json"}


def assert_problem(response: Any, status: int) -> None:
    problem = response.json()
    assert response.status_code == problem["status"] == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["X-Request-ID"] == problem["request_id"]
    assert problem.keys() >= {"type", "title", "detail"}


@pytest.fixture(autouse=True)
def failing_routes(app: FastAPI) -> None:
    """Add routes that fail."""

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("the secret of the trace")

    @app.get("/refused")
    async def refused() -> None:
        raise HTTPException(418, headers={"X-Tea": "green"})


async def test_every_error_has_problem_details(client: Client, ann: Account) -> None:
    assert_problem(await client.get("/nowhere"), 404)
    assert_problem(await client.get("/api/v1/users/me"), 401)
    assert_problem(await client.get("/api/v1/users/x", headers=ann.headers), 422)
    assert_problem(await client.post("/api/v1/users", content="{"), 422)
    assert_problem(await client.post("/api/v1/users", content="{", headers=JSON), 400)


async def test_error_responses_keep_their_headers(client: Client) -> None:
    refused = await client.get("/refused")
    wrong_method = await client.put("/livez")
    assert_problem(refused, 418)
    assert_problem(wrong_method, 405)
    assert refused.headers["X-Tea"] == "green"
    assert wrong_method.headers["Allow"] == "GET"


async def test_an_internal_error_reveals_no_traceback(client: Client) -> None:
    response = await client.get("/broken")
    assert_problem(response, 500)
    assert "secret" not in response.text


async def test_validation_errors_do_not_repeat_the_input(client: Client) -> None:
    form = {"email": "no address", "name": "Ann", "password": PASSWORD, "admin": PASSWORD}
    response = await client.post("/api/v1/users", json=form)
    assert_problem(response, 422)
    assert PASSWORD not in response.text
    where = {error["location"] for error in response.json()["errors"]}
    assert where == {"body.email", "body.admin"}


@pytest.mark.parametrize("settings", [{"cors_origins": ORIGIN}], indirect=True)
async def test_only_allowed_origins_can_read_responses_and_errors(client: Client) -> None:
    for path in ("/livez", "/broken", "/nowhere", "/refused"):
        response = await client.get(path, headers={"Origin": ORIGIN})
        assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    other_origin = await client.get("/livez", headers={"Origin": "https://elsewhere.example"})
    assert "Access-Control-Allow-Origin" not in other_origin.headers


@pytest.mark.parametrize("settings", [{"cors_origins": ORIGIN}], indirect=True)
async def test_preflight_requests_succeed_for_allowed_origins_only(client: Client) -> None:
    headers = {"Access-Control-Request-Method": "PATCH"}
    allowed = await client.options("/api/v1/users/me", headers=headers | {"Origin": ORIGIN})
    refused = await client.options("/livez", headers=headers | {"Origin": "https://else.example"})
    assert allowed.status_code == 200
    assert "PATCH" in allowed.headers["Access-Control-Allow-Methods"]
    assert allowed.headers["X-Request-ID"]
    assert_problem(refused, 400)


async def test_every_response_has_the_security_headers(client: Client) -> None:
    for path in ("/livez", "/broken", "/nowhere"):
        response = await client.get(path)
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["X-Frame-Options"] == "DENY"
        assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("given", ["0af7651916cd43dd8448eb211c80319c", "job-17.retry_2"])
async def test_a_well_formed_request_id_is_kept(client: Client, given: str) -> None:
    response = await client.get("/nowhere", headers={"X-Request-ID": given})
    assert response.headers["X-Request-ID"] == response.json()["request_id"] == given


@pytest.mark.parametrize("given", ["", "short", "x" * 65, "id with blanks", "{${jndi:x}}"])
async def test_a_malformed_request_id_is_replaced(client: Client, given: str) -> None:
    response = await client.get("/livez", headers={"X-Request-ID": given})
    assert len(response.headers["X-Request-ID"]) == 32


@pytest.mark.parametrize("settings", [{"max_body_bytes": 1_000}], indirect=True)
async def test_a_content_length_above_the_limit_is_refused(client: Client) -> None:
    assert_problem(await client.post("/api/v1/users", content=b"x" * 1_001), 413)
    assert_problem(await client.post("/nowhere", content=b"x" * 1_001), 413)


@pytest.mark.parametrize("settings", [{}, PRODUCTION], indirect=True, ids=["dev", "production"])
async def test_production_hides_documentation_and_sends_hsts(client: Client, app: FastAPI) -> None:
    production = app.state.settings.environment == "production"
    for path in ("/docs", "/openapi.json"):
        response = await client.get(path)
        assert response.status_code == (404 if production else 200)
        assert ("Strict-Transport-Security" in response.headers) == production


# {% endcall %}
