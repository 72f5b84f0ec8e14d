# {% from "includes/unasync.jinja" import unasync with context %}
"""Signing in, as a client sees it."""

# {% call unasync() %}
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import jwt
import pytest
from fastapi import FastAPI

from app.core.bulkhead import Bulkhead
from app.core.security.passwords import Passwords
from app.settings_parts.security import DEVELOPMENT_SECRET
from tests.accounts import PASSWORD, Account
from tests.client import Client


def claims(**changed: Any) -> dict[str, Any]:
    """What a good token says, but for what is changed; None leaves it out."""
    now = datetime.now(UTC)
    good = {"sub": str(uuid4()), "iat": now, "exp": now + timedelta(minutes=1), "jti": "1"}
    return {name: value for name, value in (good | changed).items() if value is not None}


async def test_a_token_says_how_long_it_is_good(client: Client, ann: Account) -> None:
    form = {"username": ann.email.upper(), "password": PASSWORD, "grant_type": "password"}
    response = await client.post("/api/v1/auth/token", data=form)
    token = response.json()
    assert (token["token_type"], token["expires_in"]) == ("bearer", 1800)
    read = jwt.decode(token["access_token"], DEVELOPMENT_SECRET, ["HS256"])
    assert read.keys() == {"sub", "iat", "exp", "jti"}
    assert read["sub"] == ann.id


async def test_an_address_has_one_form(client: Client) -> None:
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
async def test_who_tried_too_often_does_not_wait(client: Client, app: FastAPI) -> None:
    app.state.components[Passwords].bulkhead = Bulkhead(0, 0.01)
    statuses = []
    for _ in range(2):
        form = {"username": "ann@example.com", "password": PASSWORD}
        response = await client.post("/api/v1/auth/token", data=form)
        statuses.append(response.status_code)
    assert statuses == [503, 429]


async def test_nobody_is_told_what_was_wrong(client: Client, ann: Account) -> None:
    forms = [
        {"username": ann.email, "password": "wrong password"},
        {"username": "nobody@example.com", "password": PASSWORD},
    ]
    answers = []
    for form in forms:
        response = await client.post("/api/v1/auth/token", data=form)
        problem = response.json()
        del problem["request_id"]
        answers.append((response.status_code, problem))
    assert answers[0] == answers[1]
    assert answers[0][0] == 401


@pytest.mark.parametrize(
    ("key", "algorithm", "said"),
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
async def test_no_other_token_is_accepted(
    client: Client, key: str, algorithm: str, said: dict[str, Any]
) -> None:
    token = jwt.encode(said, key, algorithm)
    headers = {"Authorization": f"Bearer {token}"}
    response = await client.get("/api/v1/users", headers=headers)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"


async def test_a_good_token_is_accepted(client: Client) -> None:
    token = jwt.encode(claims(), DEVELOPMENT_SECRET, "HS256")
    response = await client.get("/api/v1/users", headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == 200


async def test_guessing_a_password_ends_soon(client: Client, ann: Account) -> None:
    statuses = []
    for number in range(12):
        response = await client.post(
            "/api/v1/auth/token",
            data={"username": ann.email, "password": f"guess {number}"},
            headers={"X-Forwarded-For": f"10.0.0.{number}"},
        )
        statuses.append(response.status_code)
    right = {"username": ann.email, "password": PASSWORD}
    refused = await client.post("/api/v1/auth/token", data=right)
    assert statuses == [401] * 10 + [429] * 2
    assert refused.status_code == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 300


@pytest.mark.parametrize("settings", [{"sign_in_attempts_per_ip": 3}], indirect=True)
async def test_guessing_an_address_ends_too(client: Client) -> None:
    statuses = []
    for number in range(4):
        form = {"username": f"user{number}@example.com", "password": PASSWORD}
        response = await client.post("/api/v1/auth/token", data=form)
        statuses.append(response.status_code)
    assert statuses == [401, 401, 401, 429]


@pytest.mark.parametrize("settings", [{"password_hash_memory_kib": 16_384}], indirect=True)
async def test_an_unknown_address_takes_as_long(client: Client, ann: Account) -> None:
    took: dict[str, list[float]] = {ann.email: [], "nobody@example.com": []}
    for _ in range(5):
        for email, seconds in took.items():
            started = time.perf_counter()
            form = {"username": email, "password": "wrong password"}
            await client.post("/api/v1/auth/token", data=form)
            seconds.append(time.perf_counter() - started)
    known, unknown = (min(seconds) for seconds in took.values())
    assert unknown > known / 2, "an unknown address must cost a hash too"


# {% endcall %}
