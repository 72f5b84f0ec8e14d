"""What every part of the settings builds on."""

import re
from typing import Literal
from urllib.parse import urlsplit

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class CommonSettings(BaseSettings):
    """Where the service runs."""

    model_config = SettingsConfigDict(
        allow_inf_nan=False,
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
    )

    # Production unless told otherwise: a forgotten variable must not open a service up.
    environment: Literal["development", "production"] = "production"
    log_level: Literal["debug", "info", "warning", "error"] = "info"


def checked_url(value: SecretStr, scheme: str, form: str) -> SecretStr:
    """Return the URL of a server if it begins with the scheme, a pattern; the form shows how."""
    url = value.get_secret_value()
    try:
        known = re.match(scheme, url)
        urlsplit(url).port  # noqa: B018 - no number is an error
    except ValueError:
        known = None
    if not known:
        raise ValueError(f"write it as {form}")
    return value


def split_commas(value: object) -> object:
    """Return the parts of a text between its commas."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value
