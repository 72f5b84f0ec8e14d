"""Malformed and hostile requests: none may cause a 5xx."""

from collections.abc import Iterator

import httpx2
import pytest

from tests.live import PASSWORD, Service

FORM = {"email": "ann@example.com", "name": "Ann", "password": PASSWORD}
JSON = {"Content-Type": "application/json"}
WWW_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def http(service: Service) -> Iterator[httpx2.Client]:
    """Return a client of a signed-in user."""
    with httpx2.Client(base_url=service.url, headers=service.sign_up(), timeout=60) as client:
        yield client


def assert_refused(response: httpx2.Response, *statuses: int) -> None:
    assert response.status_code in statuses, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.json()["status"] == response.status_code


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"1e400",
        b"NaN",
        b"\x00",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"9" * 5_000,
        b'{"name": ' + b"9" * 5_000 + b"}",
        b'{"name": "\\ud800"}',
        b'{"\\ud800": 1}',
        b'{"name": "\\u0000"}',
        b'{"name": "a\\nb"}',
        b'{"name": "\\u202eevil"}',
        b'{"name": "   "}',
        b'{"name": 1}',
        b'{"name": {"name": {}}}',
        b'{"id": "0195e2c4-0000-7000-8000-000000000000"}',
        b'{"version": 7}',
        b'{"password_hash": "x"}',
        b'{"password": "short"}',
        b'{"password": "\\ud800\\ud800\\ud800\\ud800\\ud800\\ud800\\ud800\\ud800"}',
        b'{"email": "ann@example.com\\u0000"}',
        b'{"email": "@"}',
    ],
)
def test_malformed_json_body_is_rejected(http: httpx2.Client, body: bytes) -> None:
    assert_refused(http.patch("/api/v1/users/me", content=body, headers=JSON), 400, 422)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "utf-7", "cp037"])
def test_body_in_another_encoding_causes_no_5xx(http: httpx2.Client, encoding: str) -> None:
    body = '{"name": "Änn"}'.encode(encoding)
    response = http.patch("/api/v1/users/me", content=body, headers=JSON)
    assert response.status_code in {200, 400, 422}


@pytest.mark.parametrize("name", ["n" * 101, "n" * 900_000, "n\x00", "\u2028"])
def test_invalid_name_is_rejected(http: httpx2.Client, name: str) -> None:
    assert_refused(http.post("/api/v1/users", json=FORM | {"name": name}), 422)


@pytest.mark.parametrize("password", ["", "1234567", "p" * 257])
def test_password_of_invalid_length_is_rejected(http: httpx2.Client, password: str) -> None:
    assert_refused(http.post("/api/v1/users", json=FORM | {"password": password}), 422)


@pytest.mark.parametrize(
    "body",
    [
        b"username=a%00b&password=x",
        b"username=%ff%fe&password=%ff",
        b"username=%ed%a0%80&password=x",
        b"username=" + b"a" * 300 + b"&password=x",
        b"username=a&password=" + b"p" * 500_000,
        b"username=a",
        b"=&=&=",
        b"&" * 10_000,
        b"a=b&" * 10_000,
    ],
)
def test_malformed_form_is_rejected(http: httpx2.Client, body: bytes) -> None:
    response = http.post("/api/v1/auth/token", content=body, headers=WWW_FORM)
    assert_refused(response, 400, 401, 413, 422)


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/users/me%00",
        "/api/v1/users/%ff",
        "/api/v1/users/0",
        f"/api/v1/users/{2**63}",
        "/api/v1/users/" + "9" * 5_000,
        "/api/v1/users?limit=9223372036854775808",
        "/api/v1/users?limit=1&limit=x",
        "/api/v1/users?limit=NaN",
        "/api/v1/users?limit=%00",
        "/api/v1/users?cursor=%00",
        "/api/v1/users?cursor=%ed%a0%80",
        "/api/v1/users?cursor=" + "A" * 5_000,
        "/api/v1/users/../../../etc/passwd",
        "//evil.example/",
        "/api/v1/users/",
    ],
)
def test_unknown_path_or_invalid_parameter_is_rejected(http: httpx2.Client, path: str) -> None:
    assert_refused(http.get(path), 404, 422)


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "multipart/form-data", "{}"])
def test_unsupported_content_type_is_rejected(http: httpx2.Client, kind: str) -> None:
    headers = {"Content-Type": kind}
    assert_refused(http.post("/api/v1/users", content=b"\xff\x00", headers=headers), 415, 422)


@pytest.mark.parametrize("tag", ["x", "*,", '"', "\\", "," * 5_000, '"' + "9" * 5_000 + '"'])
def test_invalid_etag_causes_no_error(http: httpx2.Client, tag: str) -> None:
    response = http.patch("/api/v1/users/me", json={"name": "Ann"}, headers={"If-Match": tag})
    assert response.status_code in {200, 412}
    response = http.get("/api/v1/users/me", headers={"If-None-Match": tag})
    assert response.status_code in {200, 304}


@pytest.mark.parametrize("token", ["x", "a.b.c", "é", "." * 5_000, "eyJhbGciOiJub25lIn0.e30."])
def test_forged_token_is_rejected(http: httpx2.Client, token: str) -> None:
    headers = {b"Authorization": f"Bearer {token}".encode()}
    assert_refused(http.get("/api/v1/users/me", headers=headers), 401)
