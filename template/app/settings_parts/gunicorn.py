"""Settings of gunicorn, which starts and replaces the server processes."""

from typing import Annotated, Literal

from pydantic import Field

from app.settings_parts.common import CommonSettings


class GunicornSettings(CommonSettings):
    """Number of server processes, and when gunicorn replaces one."""

    # Number of server processes; auto: one per CPU of the container, at most four.
    web_concurrency: Literal["auto"] | Annotated[int, Field(ge=1)] = {{ gunicorn_workers | from_yaml | to_json }}
    # A process whose event loop is blocked for this long is killed and replaced.
    gunicorn_timeout_seconds: int = Field(default={{ gunicorn_timeout }}, ge=2)
    # A process is replaced after this many requests plus a random part of the jitter; 0: never.
    gunicorn_max_requests: int = Field(default={{ gunicorn_max_requests }}, ge=0)
    gunicorn_max_requests_jitter: int = Field(default={{ gunicorn_max_requests_jitter }}, ge=0)
