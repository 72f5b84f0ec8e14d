# {% from "includes/unasync.jinja" import unasync with context %}
"""Queries for users, on a database."""

# {% call unasync() %}
from uuid import UUID

import pytest
from fastapi import FastAPI

from app.core.database.engine import Database
from app.domains.users.errors import EmailTaken
from app.domains.users.models import User
from app.domains.users.repository import UserRepository
from tests.client import Client


def user(name: str) -> User:
    return User(name=name, email=f"{name}@example.com", password_hash="-")


async def test_an_added_user_is_found_by_id_and_email(app: FastAPI, client: Client) -> None:
    async with app.state.components[Database].write() as session:
        ann = user("ann")
        await UserRepository(session).add(ann)
    async with app.state.components[Database].read() as session:
        users = UserRepository(session)
        found = await users.get(ann.id)
        by_email = await users.get_by(email="ann@example.com")
        assert found is not None
        assert found is by_email
        assert (found.name, found.version, found.created_at) == ("ann", 1, ann.created_at)


async def test_a_duplicate_email_raises_email_taken(app: FastAPI, client: Client) -> None:
    async def add() -> None:
        async with app.state.components[Database].write() as session:
            await UserRepository(session).add(user("ann"))

    await add()
    with pytest.raises(EmailTaken):
        await add()


async def test_a_page_starts_after_the_given_id(app: FastAPI, client: Client) -> None:
    async with app.state.components[Database].write() as session:
        users = UserRepository(session)
        rows = [user(name) for name in ("ann", "bob", "cid")]
        for number, row in enumerate(rows):
            row.id = UUID(int=number)
        for row in reversed(rows):
            await users.add(row)
        first = await users.page(None, 2)
        assert len(first) == 2
        second = await users.page(first[-1].id, 2)
        assert [*first, *second] == rows


async def test_an_update_increments_the_version(app: FastAPI, client: Client) -> None:
    async with app.state.components[Database].write() as session:
        users = UserRepository(session)
        ann = user("ann")
        await users.add(ann)
        before = ann.updated_at
        ann.name = "anna"
        await users.flush()
        assert ann.version == 2
        assert ann.updated_at > before


# {% endcall %}
