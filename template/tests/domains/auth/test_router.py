# {% from "includes/unasync.jinja" import unasync with context %}
"""Sign-in route: tokens, errors and rate limits."""

# {% call unasync() %}
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import jwt
import pytest
from fastapi import FastAPI
from starlette.datastructures import Address

from app.core.bulkhead import Bulkhead
from app.core.security.passwords import Passwords
from app.core.security.rate_limit import AttemptLimit, AttemptLimiter
from app.settings_parts.security import DEVELOPMENT_SECRET
from tests.accounts import PASSWORD, Account
from tests.client import Client

OTHER_CLIENT = Address("198.51.100.7", 0)


def claims(**changed: Any) -> dict[str, Any]:
    """Return the claims of a valid token with these changes; None removes a claim."""
    now = datetime.now(UTC)
    valid = {"sub": str(uuid4()), "iat": now, "exp": now + timedelta(minutes=1), "jti": "1"}
    return {name: value for name, value in (valid | changed).items() if value is not None}


async def test_sign_in_returns_a_token_with_its_lifetime(client: Client, ann: Account) -> None:
    form = {"username": ann.email.upper(), "password": PASSWORD, "grant_type": "password"}
    response = await client.post("/api/v1/auth/token", data=form)
    token = response.json()
    assert (token["token_type"], token["expires_in"]) == ("bearer", 1800)
    read = jwt.decode(token["access_token"], DEVELOPMENT_SECRET, ["HS256"])
    assert read.keys() == {"sub", "iat", "exp", "jti"}
    assert read["sub"] == ann.id


async def test_sign_in_normalizes_the_email(client: Client) -> None:
    address = "Ann@xn--bcher-kva.example"
    form = {"email": address, "name": "Ann", "password": PASSWORD}
    created = await client.post("/api/v1/users", json=form)
    assert created.json()["email"] == "ann@bücher.example"
    for username in (address, "ann@BÜCHER.example"):
        credentials = {"username": username, "password": PASSWORD}
        token = await client.post("/api/v1/auth/token", data=credentials)
        assert token.status_code == 200
    credentials = {"username": "no address", "password": PASSWORD}
    token = await client.post("/api/v1/auth/token", data=credentials)
    assert token.status_code == 401


@pytest.mark.parametrize("settings", [{"sign_in_attempts_per_ip": 1}], indirect=True)
async def test_rate_limited_attempts_do_not_wait_for_a_hash(client: Client, app: FastAPI) -> None:
    form = {"username": "ann@example.com", "password": PASSWORD}
    failed = await client.post("/api/v1/auth/token", data=form)
    app.state.components[Passwords].bulkhead = Bulkhead(0, 0.01)
    limited = await client.post("/api/v1/auth/token", data=form)
    assert (failed.status_code, limited.status_code) == (401, 429)


@pytest.mark.parametrize("settings", [{"sign_in_attempts_per_email_and_ip": 1}], indirect=True)
async def test_an_overload_is_no_failed_attempt(client: Client, app: FastAPI, ann: Account) -> None:
    passwords = app.state.components[Passwords]
    slots, passwords.bulkhead = passwords.bulkhead, Bulkhead(0, 0.01)
    form = {"username": ann.email, "password": PASSWORD}
    overloaded = await client.post("/api/v1/auth/token", data=form)
    passwords.bulkhead = slots
    signed_in = await client.post("/api/v1/auth/token", data=form)
    assert (overloaded.status_code, signed_in.status_code) == (503, 200)


async def test_wrong_password_and_unknown_email_look_the_same(client: Client, ann: Account) -> None:
    forms = [
        {"username": ann.email, "password": "wrong password"},
        {"username": "nobody@example.com", "password": PASSWORD},
    ]
    responses = []
    for form in forms:
        response = await client.post("/api/v1/auth/token", data=form)
        problem = response.json()
        del problem["request_id"]
        responses.append((response.status_code, problem))
    assert responses[0] == responses[1]
    assert responses[0][0] == 401


@pytest.mark.parametrize(
    ("key", "algorithm", "payload"),
    [
        ("x" * 32, "HS256", claims()),
        (DEVELOPMENT_SECRET, "HS384", claims()),
        ("", "none", claims()),
        (DEVELOPMENT_SECRET, "HS256", claims(sub="not-an-id")),
        (DEVELOPMENT_SECRET, "HS256", claims(sub=None)),
        (DEVELOPMENT_SECRET, "HS256", claims(exp=None)),
        (DEVELOPMENT_SECRET, "HS256", claims(iat=None)),
        (DEVELOPMENT_SECRET, "HS256", claims(jti=None)),
        (DEVELOPMENT_SECRET, "HS256", claims(exp=datetime(2020, 1, 1, tzinfo=UTC))),
        (DEVELOPMENT_SECRET, "HS256", claims(exp="soon")),
    ],
)
async def test_an_invalid_token_is_refused(
    client: Client, key: str, algorithm: str, payload: dict[str, Any]
) -> None:
    token = jwt.encode(payload, key, algorithm)
    headers = {"Authorization": f"Bearer {token}"}
    response = await client.get("/api/v1/users", headers=headers)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"


async def test_a_valid_token_is_accepted(client: Client) -> None:
    token = jwt.encode(claims(), DEVELOPMENT_SECRET, "HS256")
    response = await client.get("/api/v1/users", headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == 200


async def test_failed_attempts_are_limited_per_email(client: Client, ann: Account) -> None:
    statuses = []
    for number in range(12):
        response = await client.post(
            "/api/v1/auth/token",
            data={"username": ann.email, "password": f"guess {number}"},
            headers={"X-Forwarded-For": f"10.0.0.{number}"},
        )
        statuses.append(response.status_code)
    correct = {"username": ann.email, "password": PASSWORD}
    refused = await client.post("/api/v1/auth/token", data=correct)
    assert statuses == [401] * 10 + [429] * 2
    assert refused.status_code == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 300


async def test_guesses_elsewhere_do_not_lock_the_owner_out(
    client: Client, app: FastAPI, ann: Account
) -> None:
    limiter, settings = app.state.components[AttemptLimiter], app.state.settings
    elsewhere = f"sign-in 198.51.100.7 {ann.email}"
    for _ in range(settings.sign_in_attempts_per_email_and_ip):
        limiter.count(AttemptLimit(elsewhere, 10, "reset"))
        limiter.count(AttemptLimit(f"sign-in {ann.email}", 100, "reset"))
    form = {"username": ann.email, "password": PASSWORD}
    response = await client.post("/api/v1/auth/token", data=form)
    assert response.status_code == 200


@pytest.mark.parametrize(
    "settings",
    [{"sign_in_attempts_per_email_and_ip": 1, "sign_in_attempts_per_email": 3}],
    indirect=True,
)
async def test_refused_guesses_do_not_lock_the_owner_out(
    client: Client, ann: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    statuses = []
    for _ in range(5):
        form = {"username": ann.email, "password": "wrong password"}
        response = await client.post("/api/v1/auth/token", data=form)
        statuses.append(response.status_code)
    assert statuses == [401, 429, 429, 429, 429]
    monkeypatch.setattr("starlette.requests.HTTPConnection.client", OTHER_CLIENT)
    form = {"username": ann.email, "password": PASSWORD}
    response = await client.post("/api/v1/auth/token", data=form)
    assert response.status_code == 200


@pytest.mark.parametrize("settings", [{"sign_in_attempts_per_ip": 3}], indirect=True)
async def test_failed_attempts_are_limited_per_ip(client: Client) -> None:
    statuses = []
    for number in range(4):
        form = {"username": f"user{number}@example.com", "password": PASSWORD}
        response = await client.post("/api/v1/auth/token", data=form)
        statuses.append(response.status_code)
    assert statuses == [401, 401, 401, 429]


@pytest.mark.parametrize("settings", [{"password_hash_memory_kib": 16_384}], indirect=True)
async def test_an_unknown_email_takes_as_long_as_a_known_one(client: Client, ann: Account) -> None:
    took: dict[str, list[float]] = {ann.email: [], "nobody@example.com": []}
    for _ in range(5):
        for email, seconds in took.items():
            started = time.perf_counter()
            form = {"username": email, "password": "wrong password"}
            await client.post("/api/v1/auth/token", data=form)
            seconds.append(time.perf_counter() - started)
    known, unknown = (min(seconds) for seconds in took.values())
    assert unknown > known / 2, "sign-in must compute a hash for an unknown e-mail too"


# {% endcall %}
