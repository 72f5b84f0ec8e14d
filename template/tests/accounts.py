# {% from "includes/unasync.jinja" import unasync with context %}
"""Accounts of test users."""

# {% call unasync() %}
from dataclasses import dataclass
from uuid import uuid4

from tests.client import Client

PASSWORD = "correct horse battery staple"


@dataclass(frozen=True)
class Account:
    """User account, with the headers that authenticate its requests."""

    id: str
    email: str
    headers: dict[str, str]
    etag: str


async def sign_up(client: Client, name: str) -> Account:
    """Sign up with a new e-mail and sign in; return the account."""
    email = f"{name.lower()}-{uuid4().hex}@example.com"
    form = {"email": email, "name": name, "password": PASSWORD}
    created = await client.post("/api/v1/users", json=form)
    assert created.status_code == 201, created.text
    credentials = {"username": email, "password": PASSWORD}
    token = await client.post("/api/v1/auth/token", data=credentials)
    assert token.status_code == 200, token.text
    headers = {"Authorization": f"Bearer {token.json()['access_token']}"}
    return Account(created.json()["id"], email, headers, created.headers["ETag"])


# {% endcall %}
