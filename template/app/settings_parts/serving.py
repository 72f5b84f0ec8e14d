"""Settings of the server processes."""

from ipaddress import ip_network
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import NoDecode

from app.settings_parts.common import CommonSettings, split_commas

# Least time that a shutdown leaves for running requests and for closing the resources.
_MIN_GRACE_SECONDS = 5


def _blocked_seconds(data: dict[str, Any]) -> float:
    return 0.1 if data["environment"] == "development" else 1


class ServingSettings(CommonSettings):
    """Address, trusted proxies and shutdown of the server processes."""

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)
    # Keep above the proxy's idle timeout, or the proxy sends requests into closed connections.
    keep_alive_seconds: int = Field(default={{ gunicorn_keep_alive }}, ge=1)
    # Seconds after SIGTERM that an unready service still serves, until proxies notice.
    shutdown_delay_seconds: float = Field(default=5, ge=0)
    # Seconds from SIGTERM to exit; keep below the platform's grace period.
    graceful_timeout_seconds: float = Field(default={{ gunicorn_graceful_timeout }}, ge=5)
    # IP addresses or networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are trusted.
    forwarded_allow_ips: Annotated[tuple[str, ...], NoDecode] = ()
    # An event loop that is blocked for longer is logged, with its stack.
    event_loop_blocked_seconds: float = Field(default_factory=_blocked_seconds, gt=0)
    # {% if sqlalchemy == "sync" %}
    # Threads for routes; unset: 30 more than database connections, for routes without queries.
    threadpool_size: int | None = Field(default=None, ge=1)
    # {% endif %}

    @field_validator("forwarded_allow_ips", mode="before")
    @classmethod
    def _split_proxies(cls, value: object) -> object:
        return split_commas(value)

    @field_validator("forwarded_allow_ips")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            try:
                ip_network(network)
            except ValueError:
                raise ValueError(f"name IP addresses or networks, not {network}") from None
        return value

    @model_validator(mode="after")
    def _time_to_stop(self) -> Self:
        if self.graceful_timeout_seconds < self.shutdown_delay_seconds + _MIN_GRACE_SECONDS:
            raise ValueError(
                "GRACEFUL_TIMEOUT_SECONDS leaves requests no time: set it to at least "
                f"SHUTDOWN_DELAY_SECONDS plus {_MIN_GRACE_SECONDS}"
            )
        return self
