# {% from "includes/unasync.jinja" import unasync with context %}
"""Access tokens and password hashes."""

# {% call unasync() %}
from uuid import uuid4

import pytest

from app.core.errors import Unauthenticated
from app.core.security.passwords import Passwords
from app.core.security.tokens import Caller, Tokens
from app.settings import Settings


def test_a_token_identifies_its_caller(settings: Settings) -> None:
    caller = Caller(uuid4())
    assert Tokens(settings).read(Tokens(settings).issue(caller.id)) == caller


def test_a_token_with_another_secret_key_is_refused(settings: Settings) -> None:
    other = settings.model_copy(update={"secret_key": type(settings.secret_key)("x" * 32)})
    token = Tokens(other).issue(uuid4())
    with pytest.raises(Unauthenticated):
        Tokens(settings).read(token)


async def test_only_the_exact_password_is_verified(settings: Settings) -> None:
    passwords = Passwords(settings)
    stored = await passwords.hash("correct horse")
    assert await passwords.verify("correct horse", stored)
    assert not await passwords.verify("Correct horse", stored)
    assert not await passwords.verify("correct horse", None)


# {% endcall %}
