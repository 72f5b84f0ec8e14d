"""Health check of the image: the readiness of the service in this container."""

import os
import sys
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException


def main() -> str | None:
    """Return why the service is not ready, or None if it is ready."""
    connection = HTTPConnection("127.0.0.1", int(os.environ.get("PORT", "8000")), timeout=4)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        answer = response.read().decode()
    except (HTTPException, OSError) as error:
        return f"The service does not answer: {error!r}"
    return None if response.status == HTTPStatus.OK else answer


if __name__ == "__main__":
    sys.exit(main())
