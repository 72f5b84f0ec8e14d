"""Settings of the cache in Redis."""

from urllib.parse import parse_qs, urlsplit

from pydantic import Field, SecretStr, field_validator
from redis import ConnectionPool

from app.settings_parts.common import CommonSettings


class CacheSettings(CommonSettings):
    """URL, connections and timeouts of Redis; prefix and TTL of its keys."""

    redis_url: SecretStr
    # A few are enough: a command holds a connection for a fraction of a millisecond.
    redis_pool_size: int = Field(default=20, ge=1)
    # Timeout for a pooled connection, a new one or a response; reads then go to the database.
    redis_timeout_seconds: float = Field(default=0.25, gt=0)
    # Redis is not used while even its fastest response takes longer.
    redis_slow_seconds: float = Field(default=0.05, gt=0)
    # Interval between health checks of Redis.
    redis_probe_seconds: float = Field(default=0.5, gt=0)
    # All keys begin with this prefix: services that share a Redis need different ones.
    cache_prefix: str = Field(default="{{ project_slug }}", pattern="^[a-z0-9_.:-]+$")
    # The TTL also bounds the life of a stale entry whose deletion was lost in a crash.
    cache_ttl_seconds: int = Field(default=60, ge=1)

    @field_validator("redis_url")
    @classmethod
    def _known_server(cls, value: SecretStr) -> SecretStr:
        url = value.get_secret_value()
        # Other parameters of the URL would change timeouts, or the type of responses.
        for name in parse_qs(urlsplit(url).query):
            if name != "db" and not name.startswith("ssl_"):
                raise ValueError(f"leave out {name}")
        try:
            ConnectionPool.from_url(url)
        except ValueError:
            raise ValueError("write it as redis://user:password@host:6379/0") from None
        return value
