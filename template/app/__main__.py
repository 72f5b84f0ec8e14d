"""Serve: `python -m app`."""

# {% if server == "gunicorn" %}
import os
import sys
from pathlib import Path

from app.core.serving.processes import web_processes
from app.settings import SettingsError, load_settings

CONFIG = Path(__file__).parent.parent / "gunicorn.conf.py"


def main() -> None:
    """Become gunicorn, with its settings checked."""
    try:
        settings = load_settings()
    except SettingsError as error:
        sys.exit(str(error))
    # Gunicorn reads it by itself too, and does not take an empty one.
    os.environ["WEB_CONCURRENCY"] = str(web_processes(settings))
    command = [sys.executable, "-m", "gunicorn", "--config", str(CONFIG)]
    os.execv(sys.executable, command)  # noqa: S606 - our own
# {% else %}
import sys

import uvicorn

from app.core.serving.server import Server, server_config
from app.main import create_app
from app.settings import SettingsError, load_settings


def main() -> None:
    """Run one server process on HOST and PORT."""
    try:
        settings = load_settings()
    except SettingsError as error:
        sys.exit(str(error))
    app = create_app(settings)
    config = uvicorn.Config(app, host=settings.host, port=settings.port, **server_config(settings))
    Server(config, app).run()
# {% endif %}


if __name__ == "__main__":
    main()
