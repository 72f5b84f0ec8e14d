"""Requests and responses of the users' routes."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, EmailStr, Field, StringConstraints

from app.core.http.schemas import Input, Printable, Schema, normalize_email

Email = Annotated[EmailStr, Field(max_length=254), AfterValidator(normalize_email)]
Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=100),
    Printable,
]
# Long enough to resist, short enough to hash: no rule on what it is made of.
Password = Annotated[str, Field(min_length=8, max_length=256)]


class SignUp(Input):
    """A new user."""

    email: Email
    name: Name
    password: Password


class UserUpdate(Input):
    """What to change of a user: what is left out stays."""

    email: Email | None = None
    name: Name | None = None
    password: Password | None = None


class Profile(Schema):
    """A user, as every other user sees them."""

    id: UUID
    name: str
    created_at: datetime


class Account(Profile):
    """A user, as they see themselves."""

    email: str
    updated_at: datetime
