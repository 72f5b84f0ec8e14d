"""Requests and responses of the user routes."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, EmailStr, Field, StringConstraints

from app.core.http.schemas import Input, Printable, Schema, normalize_email, omitted

Email = Annotated[EmailStr, Field(max_length=254), AfterValidator(normalize_email)]
Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), Printable
]
# The minimum hinders guessing, the maximum bounds the cost of hashing; any character is allowed.
Password = Annotated[str, Field(min_length=8, max_length=256)]


class SignUp(Input):
    """Request to create an account."""

    email: Email
    name: Name
    password: Password


class UserUpdate(Input):
    """Changes to an account; omitted fields stay unchanged."""

    email: Email = Field(default_factory=omitted)
    name: Name = Field(default_factory=omitted)
    password: Password = Field(default_factory=omitted)


class Profile(Schema):
    """Public profile of a user."""

    id: UUID
    name: str
    created_at: datetime


class Account(Profile):
    """Account of a user, visible only to that user."""

    email: str
    updated_at: datetime
