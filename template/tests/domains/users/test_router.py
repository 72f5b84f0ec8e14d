# {% from "includes/unasync.jinja" import unasync with context %}
"""User routes: sign-up, profiles, updates and pages."""

# {% call unasync() %}
import pytest
from fastapi import FastAPI

from app.core.bulkhead import Bulkhead
from app.core.security.passwords import Passwords
from tests.accounts import PASSWORD, Account, sign_up
from tests.client import Client

FORM = {"email": "ann@example.com", "name": "Ann", "password": PASSWORD}


async def test_sign_up_returns_the_account_and_its_location(client: Client) -> None:
    response = await client.post("/api/v1/users", json=FORM)
    account = response.json()
    assert response.status_code == 201
    assert response.headers["Location"] == f"/api/v1/users/{account['id']}"
    assert (account["email"], account["name"]) == ("ann@example.com", "Ann")
    assert set(account) == {"id", "email", "name", "created_at", "updated_at"}


async def test_an_email_in_another_case_is_taken(client: Client) -> None:
    await client.post("/api/v1/users", json=FORM)
    response = await client.post("/api/v1/users", json=FORM | {"email": "ANN@Example.com"})
    assert response.status_code == 409
    assert response.json()["type"] == "urn:problem-type:email-taken"


@pytest.mark.parametrize("path", ["/me", "", "/0195e2c4-0000-7000-8000-000000000000"])
async def test_profiles_require_sign_in(client: Client, path: str) -> None:
    response = await client.get(f"/api/v1/users{path}")
    assert response.status_code == 401
    assert response.json()["type"] == "urn:problem-type:unauthenticated"
    assert response.headers["WWW-Authenticate"] == "Bearer"


async def test_other_users_do_not_see_the_email(client: Client, ann: Account, bob: Account) -> None:
    response = await client.get(f"/api/v1/users/{ann.id}", headers=bob.headers)
    assert set(response.json()) == {"id", "name", "created_at"}


async def test_an_unknown_id_is_not_found(client: Client, ann: Account) -> None:
    path = "/api/v1/users/0195e2c4-0000-7000-8000-000000000000"
    response = await client.get(path, headers=ann.headers)
    assert response.status_code == 404


async def test_a_matching_if_none_match_is_answered_with_304(client: Client, ann: Account) -> None:
    for path in ("me", ann.id):
        first = await client.get(f"/api/v1/users/{path}", headers=ann.headers)
        headers = ann.headers | {"If-None-Match": first.headers["ETag"]}
        second = await client.get(f"/api/v1/users/{path}", headers=headers)
        assert (second.status_code, second.content) == (304, b"")
        assert second.headers["ETag"] == first.headers["ETag"]
        # A cache may store the response for this caller, and has to revalidate before each use.
        assert first.headers["Cache-Control"] == "private, no-cache"
        assert "Authorization" in first.headers["Vary"]


async def test_an_update_is_visible_and_changes_the_etag(client: Client, ann: Account) -> None:
    changed = await client.patch(
        "/api/v1/users/me",
        json={"name": "Anna"},
        headers=ann.headers | {"If-Match": ann.etag},
    )
    headers = ann.headers | {"If-None-Match": ann.etag}
    read = await client.get("/api/v1/users/me", headers=headers)
    assert read.status_code == 200
    assert changed.json() == read.json()
    assert read.json()["name"] == "Anna"
    assert read.headers["ETag"] == changed.headers["ETag"] != ann.etag


async def test_a_stale_if_match_is_refused(client: Client, ann: Account) -> None:
    headers = ann.headers | {"If-Match": ann.etag}
    await client.patch("/api/v1/users/me", json={"name": "Anna"}, headers=headers)
    late = await client.patch("/api/v1/users/me", json={"name": "Annette"}, headers=headers)
    late_delete = await client.delete("/api/v1/users/me", headers=headers)
    read = await client.get("/api/v1/users/me", headers=ann.headers)
    assert (late.status_code, late_delete.status_code) == (412, 412)
    assert read.json()["name"] == "Anna"


@pytest.mark.parametrize("field", ["name", "email", "password"])
async def test_null_is_refused(client: Client, ann: Account, field: str) -> None:
    response = await client.patch("/api/v1/users/me", json={field: None}, headers=ann.headers)
    assert response.status_code == 422
    assert [error["location"] for error in response.json()["errors"]] == [f"body.{field}"]


@pytest.mark.parametrize("settings", [{"sign_ups_per_ip": 2}], indirect=True)
async def test_sign_ups_are_limited_per_ip(client: Client) -> None:
    statuses = []
    for form in (FORM, FORM, FORM | {"email": "bob@example.com"}, FORM | {"name": ""}):
        response = await client.post("/api/v1/users", json=form)
        statuses.append(response.status_code)
    assert statuses == [201, 409, 429, 422]


async def test_an_email_cannot_be_changed_to_one_that_is_taken(
    client: Client, ann: Account, bob: Account
) -> None:
    taken = await client.patch("/api/v1/users/me", json={"email": bob.email}, headers=ann.headers)
    free = await client.patch("/api/v1/users/me", json={"email": "a@b.org"}, headers=ann.headers)
    assert (taken.status_code, free.status_code) == (409, 200)


async def test_a_new_password_replaces_the_old_one(client: Client, ann: Account) -> None:
    change = {"password": "another horse battery"}
    await client.patch("/api/v1/users/me", json=change, headers=ann.headers)
    credentials = {"username": ann.email, "password": PASSWORD}
    old = await client.post("/api/v1/auth/token", data=credentials)
    new = await client.post("/api/v1/auth/token", data=credentials | change)
    assert (old.status_code, new.status_code) == (401, 200)


async def test_deleted_user_gets_401_others_404(client: Client, ann: Account, bob: Account) -> None:
    deleted = await client.delete("/api/v1/users/me", headers=ann.headers)
    own = await client.get("/api/v1/users/me", headers=ann.headers)
    seen = await client.get(f"/api/v1/users/{ann.id}", headers=bob.headers)
    assert (deleted.status_code, own.status_code, seen.status_code) == (204, 401, 404)


async def test_the_pages_contain_every_user_once(client: Client) -> None:
    accounts = [await sign_up(client, f"User{number}") for number in range(4)]
    ids: list[str] = []
    sizes: list[int] = []
    cursor: dict[str, str] = {}
    while True:
        response = await client.get(
            "/api/v1/users",
            params={"limit": "2"} | cursor,
            headers=accounts[0].headers,
        )
        page = response.json()
        ids += [item["id"] for item in page["items"]]
        sizes.append(len(page["items"]))
        assert all(item.keys() == {"id", "name", "created_at"} for item in page["items"])
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert ids == [account.id for account in accounts]
    assert sizes == [2, 2]


@pytest.mark.parametrize("limit", ["0", "101", "-1", "1e3", "9" * 30])
async def test_a_limit_out_of_range_is_refused(client: Client, ann: Account, limit: str) -> None:
    response = await client.get(f"/api/v1/users?limit={limit}", headers=ann.headers)
    assert response.status_code == 422


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "=",
        "%00",
        "é",
        "AAAA",
        "A" * 43,
        "A" * 101,
    ],
)
async def test_a_forged_cursor_is_refused(client: Client, ann: Account, cursor: str) -> None:
    response = await client.get(f"/api/v1/users?cursor={cursor}", headers=ann.headers)
    assert response.status_code == 422


async def test_only_requests_with_a_password_wait_for_a_hash_slot(
    client: Client, app: FastAPI, ann: Account
) -> None:
    passwords = app.state.components[Passwords]
    passwords.bulkhead = passwords.new_bulkhead = Bulkhead(0, 0.01)
    credentials = {"username": ann.email, "password": PASSWORD}
    changed = []
    for change in ({"name": "Anna"}, {"password": PASSWORD}):
        response = await client.patch("/api/v1/users/me", json=change, headers=ann.headers)
        changed.append(response.status_code)
    created = await client.post("/api/v1/users", json=FORM)
    token = await client.post("/api/v1/auth/token", data=credentials)
    assert changed == [200, 503]
    assert (created.status_code, token.status_code) == (503, 503)
    assert token.headers["Retry-After"] == "1"


async def test_sign_ups_do_not_delay_sign_ins(client: Client, app: FastAPI, ann: Account) -> None:
    app.state.components[Passwords].new_bulkhead = Bulkhead(0, 0.01)
    created = await client.post("/api/v1/users", json=FORM)
    credentials = {"username": ann.email, "password": PASSWORD}
    token = await client.post("/api/v1/auth/token", data=credentials)
    assert (created.status_code, token.status_code) == (503, 200)


# {% endcall %}
