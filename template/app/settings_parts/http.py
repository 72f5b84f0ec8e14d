"""Settings of the HTTP interface."""

from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import NoDecode

from app.settings_parts.common import CommonSettings, split_commas


class HttpSettings(CommonSettings):
    """Documentation, CORS origins and body limit."""

    # Serve /docs and /openapi.json; unset: only in development.
    docs: bool | None = None
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    max_body_bytes: int = Field(default=1_000_000, ge=1_000)

    @property
    def show_docs(self) -> bool:
        """Effective value of `docs`."""
        return self.environment == "development" if self.docs is None else self.docs

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: object) -> object:
        return split_commas(value)

    @model_validator(mode="after")
    def _named_origins(self) -> Self:
        if self.environment == "production" and "*" in self.cors_origins:
            raise ValueError("CORS_ORIGINS is *: name the origins, separated by commas")
        return self
