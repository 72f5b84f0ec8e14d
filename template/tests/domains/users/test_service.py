# {% from "includes/unasync.jinja" import unasync with context %}
"""Rules for users, without HTTP."""

# {% call unasync() %}
from uuid import uuid4

import pytest
from fastapi import FastAPI

from app.core.database.engine import Database
from app.core.errors import Unauthenticated
from app.core.security.passwords import Passwords
from app.core.security.tokens import Caller
from app.domains.users.errors import UserNotFound
from app.domains.users.repository import UserRepository
from app.domains.users.schemas import SignUp, UserUpdate
from app.domains.users.service import UserReader, UserService
from tests.client import Client

ANN = SignUp(email="ann@example.com", name="Ann", password="correct horse")


async def test_a_password_is_stored_as_a_hash(app: FastAPI, client: Client) -> None:
    passwords = app.state.components[Passwords]
    async with app.state.components[Database].write() as session:
        ann = await UserService(UserRepository(session), passwords).sign_up(ANN)
        assert "correct horse" not in ann.password_hash
        assert await passwords.verify("correct horse", ann.password_hash)


async def test_an_update_keeps_omitted_fields(app: FastAPI, client: Client) -> None:
    async with app.state.components[Database].write() as session:
        users = UserService(UserRepository(session), app.state.components[Passwords])
        ann = await users.sign_up(ANN)
        before = ann.password_hash
        await users.change(Caller(ann.id), UserUpdate(name="Anna"), None)
        assert (ann.name, ann.email, ann.password_hash) == ("Anna", "ann@example.com", before)


async def test_a_caller_without_a_user_is_unauthenticated(app: FastAPI, client: Client) -> None:
    async with app.state.components[Database].write() as session:
        users = UserService(UserRepository(session), app.state.components[Passwords])
        with pytest.raises(Unauthenticated):
            await users.change(Caller(uuid4()), UserUpdate(name="Nobody"), None)


async def test_an_unknown_user_is_not_found(app: FastAPI, client: Client) -> None:
    async with app.state.components[Database].read() as session:
        users = UserReader(UserRepository(session))
        with pytest.raises(UserNotFound):
            await users.get(uuid4())


# {% endcall %}
