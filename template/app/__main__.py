"""Entry point of `python -m app`, which starts the server."""

# {% if server == "gunicorn" %}
import os
import sys
from pathlib import Path

from app.core.serving.processes import web_processes
from app.settings import SettingsError, load_settings

CONFIG = Path(__file__).parent.parent / "gunicorn.conf.py"


def main() -> None:
    """Check the settings, then replace this process with gunicorn."""
    try:
        settings = load_settings()
    except SettingsError as error:
        sys.exit(str(error))
    # gunicorn reads this variable too, and fails on an empty value.
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
    """Run one uvicorn server on HOST and PORT."""
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
