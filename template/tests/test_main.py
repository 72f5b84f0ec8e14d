# {% from "includes/unasync.jinja" import unasync with context %}
"""Errors, headers and limits that apply to every route."""

# {% call unasync() %}
from collections.abc import MutableMapping
from typing import Any

import pytest
import structlog
from fastapi import FastAPI, HTTPException, WebSocket
from fastapi.testclient import TestClient

from app.core import errors
from app.core.dependencies import CursorsDep
from app.core.http import middleware
from tests.accounts import PASSWORD, Account
from tests.client import Client

ORIGIN = "https://front.example"
PRODUCTION = {"environment": "production", "secret_key": "a secret of production " * 2}
JSON = {"content-type": "application/json"}


class OwnError(errors.ServiceError):
    """Error that derives directly from the base class."""

    message = "The tea is cold."


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

    @app.get("/structured")
    async def structured() -> None:
        raise HTTPException(409, {"left": [1, 2]})

    @app.get("/forbidden")
    async def forbidden() -> None:
        raise errors.Forbidden

    @app.get("/own")
    async def own() -> None:
        raise OwnError

    admin = FastAPI()
    admin.get("/pages")(lambda: "admin")
    app.mount("/admin", admin)


@pytest.fixture
def request_log(monkeypatch: pytest.MonkeyPatch) -> list[MutableMapping[str, Any]]:
    """Return the log of requests, whatever its level."""
    capture = structlog.testing.LogCapture()
    monkeypatch.setattr(middleware, "log", structlog.wrap_logger(None, [capture]))
    return capture.entries


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
    assert "GET" in wrong_method.headers["Allow"]


async def test_own_and_structured_errors_are_problems(client: Client) -> None:
    forbidden, own, structured = [
        await client.get(path) for path in ("/forbidden", "/own", "/structured")
    ]
    assert_problem(forbidden, 403)
    assert_problem(own, 400)
    assert own.json()["detail"] == "The tea is cold."
    assert own.json()["type"] == "urn:problem-type:own-error"
    assert_problem(structured, 409)
    assert structured.json()["detail"] == '{"left": [1, 2]}'


async def test_a_mounted_application_answers(client: Client) -> None:
    response = await client.get("/admin/pages")
    assert (response.status_code, response.json()) == (200, "admin")
    assert response.headers["X-Request-ID"]


async def test_successful_probes_are_logged_at_debug(
    client: Client, request_log: list[MutableMapping[str, Any]]
) -> None:
    for path in ("/livez", "/readyz", "/nowhere"):
        await client.get(path)
    assert [entry["log_level"] for entry in request_log] == ["debug", "debug", "info"]


async def test_ignored_forwarding_headers_are_logged_once(
    client: Client, request_log: list[MutableMapping[str, Any]]
) -> None:
    for _ in range(2):
        await client.get("/livez", headers={"X-Forwarded-For": "198.51.100.7"})
    warnings = [entry for entry in request_log if entry["log_level"] == "warning"]
    assert [entry["event"] for entry in warnings] == ["forwarding_header_ignored"]
    assert "FORWARDED_ALLOW_IPS" in warnings[0]["hint"]


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


async def test_validation_errors_are_bounded(client: Client) -> None:
    form = {f"{'x' * 5_000}{number}": 1 for number in range(100)}
    response = await client.post("/api/v1/users", json=form)
    assert_problem(response, 422)
    assert len(response.json()["errors"]) == 20
    assert response.json()["detail"].endswith("the first 20 of 103.")
    assert len(response.content) < 10_000


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


def test_websocket_routes_can_use_components(app: FastAPI) -> None:
    @app.websocket("/socket")
    async def socket(socket: WebSocket, cursors: CursorsDep) -> None:
        await socket.accept()
        await socket.send_text(type(cursors).__name__)
        await socket.close()

    with TestClient(app).websocket_connect("/socket") as client:
        assert client.receive_text() == "Cursors"
