"""Serve: `python -m app`."""

import uvicorn

from app.settings import load_settings


def main() -> None:
    """Run one server process on HOST and PORT."""
    settings = load_settings()
    uvicorn.run(
        "app.main:create_app",
        factory=True,
        host=settings.host,
        port=settings.port,
        # The service writes its own line for each request, and configures logging itself.
        access_log=False,
        log_config=None,
        server_header=False,
        # Longer than any request may take: a client that never ends must not keep the process.
        timeout_graceful_shutdown=30,
    )


if __name__ == "__main__":
    main()
