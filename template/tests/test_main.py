# {% from "includes/unasync.jinja" import unasync with context %}
"""What surrounds every route: errors, headers, limits."""

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
    """Routes that fail."""

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("the secret of the trace")

    @app.get("/refused")
    async def refused() -> None:
        raise HTTPException(418, headers={"X-Tea": "green"})


async def test_every_error_is_a_problem(client: Client, ann: Account) -> None:
    assert_problem(await client.get("/nowhere"), 404)
    assert_problem(await client.get("/api/v1/users/me"), 401)
    assert_problem(await client.get("/api/v1/users/x", headers=ann.headers), 422)
    assert_problem(await client.post("/api/v1/users", content="{"), 422)
    assert_problem(await client.post("/api/v1/users", content="{", headers=JSON), 400)


async def test_the_headers_of_an_error_are_kept(client: Client) -> None:
    refused = await client.get("/refused")
    wrong_method = await client.put("/livez")
    assert_problem(refused, 418)
    assert_problem(wrong_method, 405)
    assert refused.headers["X-Tea"] == "green"
    assert wrong_method.headers["Allow"] == "GET"


async def test_no_trace_leaves_the_service(client: Client) -> None:
    response = await client.get("/broken")
    assert_problem(response, 500)
    assert "secret" not in response.text


async def test_what_was_sent_is_not_sent_back(client: Client) -> None:
    form = {"email": "no address", "name": "Ann", "password": PASSWORD, "admin": PASSWORD}
    response = await client.post("/api/v1/users", json=form)
    assert_problem(response, 422)
    assert PASSWORD not in response.text
    where = {error["location"] for error in response.json()["errors"]}
    assert where == {"body.email", "body.admin"}


@pytest.mark.parametrize("settings", [{"cors_origins": ORIGIN}], indirect=True)
async def test_a_front_end_can_read_errors(client: Client) -> None:
    for path in ("/livez", "/broken", "/nowhere", "/refused"):
        response = await client.get(path, headers={"Origin": ORIGIN})
        assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    stranger = await client.get("/livez", headers={"Origin": "https://elsewhere.example"})
    assert "Access-Control-Allow-Origin" not in stranger.headers


@pytest.mark.parametrize("settings", [{"cors_origins": ORIGIN}], indirect=True)
async def test_a_preflight_is_a_request_as_any_other(client: Client) -> None:
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
async def test_another_request_id_is_replaced(client: Client, given: str) -> None:
    response = await client.get("/livez", headers={"X-Request-ID": given})
    assert len(response.headers["X-Request-ID"]) == 32


@pytest.mark.parametrize("settings", [{"max_body_bytes": 1_000}], indirect=True)
async def test_a_body_that_says_it_is_too_large_is_refused(client: Client) -> None:
    assert_problem(await client.post("/api/v1/users", content=b"x" * 1_001), 413)
    assert_problem(await client.post("/nowhere", content=b"x" * 1_001), 413)


@pytest.mark.parametrize("settings", [{}, PRODUCTION], indirect=True, ids=["dev", "production"])
async def test_production_shows_no_documentation(client: Client, app: FastAPI) -> None:
    production = app.state.settings.environment == "production"
    for path in ("/docs", "/openapi.json"):
        response = await client.get(path)
        assert response.status_code == (404 if production else 200)
        assert ("Strict-Transport-Security" in response.headers) == production


# {% endcall %}
