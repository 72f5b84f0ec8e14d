"""Settings of access tokens, passwords and sign-in attempts."""

from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator

from app.settings_parts.common import CommonSettings

DEVELOPMENT_SECRET = "development-only: never sign a token of a real service with it"  # noqa: S105
# RFC 7518 (3.2): a key for HS256 must be at least as long as its output.
_MIN_SECRET_BYTES = 32


class SecuritySettings(CommonSettings):
    """Signing key, cost of password hashes, and limits on sign-in attempts."""

    secret_key: SecretStr = SecretStr(DEVELOPMENT_SECRET)
    access_token_seconds: int = Field(default=1_800, ge=60, le=86_400)
    # RFC 9106 recommends this where memory is limited; each running hash holds this much.
    password_hash_memory_kib: int = Field(default=65_536, ge=32)
    password_hash_concurrency: int = Field(default=4, ge=1)
    password_hash_wait_seconds: float = Field(default=5, gt=0)
    # Failed attempts to sign in, in each window.
    sign_in_attempts_per_email_and_ip: int = Field(default=10, ge=1)
    sign_in_attempts_per_email: int = Field(default=100, ge=1)
    # Many people may share one IP address.
    sign_in_attempts_per_ip: int = Field(default=100, ge=1)
    sign_ups_per_ip: int = Field(default=20, ge=1)
    attempt_window_seconds: int = Field(default=300, ge=1)

    @field_validator("secret_key")
    @classmethod
    def _long_secret(cls, value: SecretStr) -> SecretStr:
        if len(value.get_secret_value().encode()) < _MIN_SECRET_BYTES:
            raise ValueError(f"use {_MIN_SECRET_BYTES} bytes or more: `openssl rand -base64 48`")
        return value

    @model_validator(mode="after")
    def _secret_of_production(self) -> Self:
        known = self.secret_key.get_secret_value() == DEVELOPMENT_SECRET
        if self.environment == "production" and known:
            raise ValueError(
                "SECRET_KEY is not set: set it to the output of `openssl rand -base64 48`, "
                "or set ENVIRONMENT=development to work on the service"
            )
        return self
