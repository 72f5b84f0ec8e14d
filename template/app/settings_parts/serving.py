"""Settings of the processes that serve."""

from ipaddress import ip_network
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import NoDecode

from app.settings_parts.common import CommonSettings, split_commas

# What is left of a stop for requests under way, and for the resources to close.
_MIN_GRACE_SECONDS = 5


def _blocked_seconds(data: dict[str, Any]) -> float:
    return 0.1 if data["environment"] == "development" else 1


class ServingSettings(CommonSettings):
    """Where the service listens, behind which proxies, and how it stops."""

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)
    # Longer than the proxy in front keeps an idle connection: it would use one that is closed.
    keep_alive_seconds: int = Field(default={{ gunicorn_keep_alive }}, ge=1)
    # How long it serves on, but is not ready, when it is told to stop: proxies have to notice.
    shutdown_delay_seconds: float = Field(default=5, ge=0)
    # From then to its end; less than whoever stops it waits before it kills.
    graceful_timeout_seconds: float = Field(default={{ gunicorn_graceful_timeout }}, ge=5)
    # Addresses or networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed.
    forwarded_allow_ips: Annotated[tuple[str, ...], NoDecode] = ()
    # An event loop that does nothing else for longer is logged, and where it is.
    event_loop_blocked_seconds: float = Field(default_factory=_blocked_seconds, gt=0)
    # {% if sqlalchemy == "sync" %}
    # Routes run in these; those that use the database never outnumber its connections. Without an
    # answer, thirty are left for others.
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
                raise ValueError(
                    f"{network} is no address or network: name the proxies', as in 10.0.0.0/8"
                ) from None
        return value

    @model_validator(mode="after")
    def _time_to_stop(self) -> Self:
        if self.graceful_timeout_seconds < self.shutdown_delay_seconds + _MIN_GRACE_SECONDS:
            raise ValueError(
                "GRACEFUL_TIMEOUT_SECONDS leaves requests no time: let it be "
                f"{_MIN_GRACE_SECONDS} more than SHUTDOWN_DELAY_SECONDS"
            )
        return self
