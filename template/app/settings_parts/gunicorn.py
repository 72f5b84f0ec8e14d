"""Settings of gunicorn, which starts the processes that serve and replaces them."""

from typing import Annotated, Literal

from pydantic import Field

from app.settings_parts.common import CommonSettings


class GunicornSettings(CommonSettings):
    """How many processes serve, and when each is replaced."""

    # Processes that serve; auto: the CPUs of the container, but not more than four.
    web_concurrency: Literal["auto"] | Annotated[int, Field(ge=1)] = {{ gunicorn_workers | from_yaml | to_json }}
    # A process whose event loop is blocked for longer is replaced.
    gunicorn_timeout_seconds: int = Field(default={{ gunicorn_timeout }}, ge=2)
    # A process is replaced after so many requests, and up to the jitter more; 0: never.
    gunicorn_max_requests: int = Field(default={{ gunicorn_max_requests }}, ge=0)
    gunicorn_max_requests_jitter: int = Field(default={{ gunicorn_max_requests_jitter }}, ge=0)
