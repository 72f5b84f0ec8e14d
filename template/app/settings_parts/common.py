"""Base class and validators of all settings."""

import re
from typing import Literal
from urllib.parse import urlsplit

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class CommonSettings(BaseSettings):
    """Environment and log level, which all parts share."""

    model_config = SettingsConfigDict(
        allow_inf_nan=False, env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    # Production is the default, so that a forgotten variable does not expose the service.
    environment: Literal["development", "production"] = "production"
    log_level: Literal["debug", "info", "warning", "error"] = "info"


def checked_url(value: SecretStr, scheme: str, form: str) -> SecretStr:
    """Return the URL if the pattern `scheme` matches; raises ValueError, which shows `form`."""
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
    """Split a string at its commas; return any other value unchanged."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value
