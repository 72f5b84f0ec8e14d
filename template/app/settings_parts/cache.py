"""Settings of the cache in Redis."""

from urllib.parse import parse_qs, urlsplit

from pydantic import Field, SecretStr, field_validator
from redis import ConnectionPool

from app.settings_parts.common import CommonSettings


class CacheSettings(CommonSettings):
    """Where Redis is, how long it is waited for, and how long it keeps a value."""

    redis_url: SecretStr
    # Few: a command holds a connection for a fraction of a millisecond.
    redis_pool_size: int = Field(default=20, ge=1)
    # For a connection of the pool, a new one, an answer: then the database is asked.
    redis_timeout_seconds: float = Field(default=0.25, gt=0)
    # A server that never answers sooner is no help.
    redis_slow_seconds: float = Field(default=0.05, gt=0)
    # How often it is asked whether it is well.
    redis_probe_seconds: float = Field(default=0.5, gt=0)
    # Names of keys begin with it: services that share a server must differ.
    cache_prefix: str = Field(default="{{ project_slug }}", pattern="^[a-z0-9_.:-]+$")
    # Also how long a value may stay when nobody is left who could delete it.
    cache_ttl_seconds: int = Field(default=60, ge=1)

    @field_validator("redis_url")
    @classmethod
    def _known_server(cls, value: SecretStr) -> SecretStr:
        url = value.get_secret_value()
        # Others would change what is waited for, or what comes back.
        for name in parse_qs(urlsplit(url).query):
            if name != "db" and not name.startswith("ssl_"):
                raise ValueError(f"leave out {name}")
        try:
            ConnectionPool.from_url(url)
        except ValueError:
            raise ValueError("write it as redis://user:password@host:6379/0") from None
        return value
