"""Request and response of the token route."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field

from app.core.http.schemas import Printable, Schema, normalize_email


class SignIn(BaseModel):
    """Form of OAuth2's password grant; unknown fields are ignored, as RFC 6749 requires."""

    grant_type: Literal["password"] = "password"
    username: Annotated[
        str, Field(min_length=1, max_length=254), Printable, AfterValidator(normalize_email)
    ]
    password: Annotated[str, Field(min_length=1, max_length=256)]


class Token(Schema):
    """Access token for `Authorization: Bearer …`, with its lifetime in seconds."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105
    expires_in: int
