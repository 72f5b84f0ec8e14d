"""Requests and responses of the token endpoint."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field

from app.core.http.schemas import Printable, Schema, normalize_email


class SignIn(BaseModel):
    """OAuth2's password grant. What else the standard allows is ignored, as it demands."""

    grant_type: Literal["password"] = "password"
    username: Annotated[
        str,
        Field(min_length=1, max_length=254),
        Printable,
        AfterValidator(normalize_email),
    ]
    password: Annotated[str, Field(min_length=1, max_length=256)]


class Token(Schema):
    """What to send as `Authorization: Bearer …`, and for how many seconds it is good."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105
    expires_in: int
