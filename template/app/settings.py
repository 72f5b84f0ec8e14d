"""Settings of the service, read from the environment and from `.env`."""

from pydantic import Field, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource

# {% if redis_cache %}
from app.settings_parts.cache import CacheSettings
# {% endif %}
from app.settings_parts.database import DatabaseSettings
# {% if server == "gunicorn" %}
from app.settings_parts.gunicorn import GunicornSettings
# {% endif %}
from app.settings_parts.http import HttpSettings
# {% if cpu_jobs != "none" %}
from app.settings_parts.jobs import JobSettings
# {% endif %}
from app.settings_parts.renamed import RENAMED
from app.settings_parts.security import SecuritySettings
from app.settings_parts.serving import ServingSettings


class SettingsError(Exception):
    """Raised for missing or invalid settings; the message names each and the fix."""


class Settings(
    ServingSettings,
    # {% if server == "gunicorn" %}
    GunicornSettings,
    # {% endif %}
    HttpSettings,
    SecuritySettings,
    DatabaseSettings,
    # {% if redis_cache %}
    CacheSettings,
    # {% endif %}
    # {% if cpu_jobs != "none" %}
    JobSettings,
    # {% endif %}
):
    """All settings, documented in `.env.example` and validated once, at start-up."""

    # Add yours below.


def load_settings() -> Settings:
    """Read the settings; raises SettingsError with a sentence for each invalid one."""
    given = {**EnvSettingsSource(Settings).env_vars, **DotEnvSettingsSource(Settings).env_vars}
    if old := [name for name in RENAMED if name.lower() in given]:
        raise SettingsError("; ".join(f"{name} is now {RENAMED[name]}: rename it" for name in old))
    try:
        return Settings()
    except ValidationError as error:
        # Pydantic's own message would print the invalid values, secrets included.
        wrong = [each for each in error.errors() if each["type"] != "default_factory_not_called"]
        # A setting of a word or a number has two errors: keep the last, which is the number's.
        last = {each["loc"][:1] or each["msg"]: each for each in wrong}
        raise SettingsError("; ".join(map(_sentence, last.values()))) from None


def _sentence(error: ErrorDetails) -> str:
    message = error["msg"].removeprefix("Value error, ")
    if not error["loc"]:
        return message
    name = str(error["loc"][0]).upper()
    if error["type"] == "missing":
        return f"{name} is not set: .env.example shows an example"
    return f"{name} is not valid: {message[:1].lower()}{message[1:]}"
