"""Signed cursors for pagination."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from uuid import UUID

from app.core.errors import InvalidInput
from app.settings import Settings

_SIGNATURE_BYTES = 16


class InvalidCursor(InvalidInput):
    """Raised when a cursor was not issued by this service."""

    message = "The cursor is not valid: pass the `next_cursor` of a page unchanged."
    field = "query.cursor"


class Cursors:
    """Encoder and decoder of cursors: the signed id of a page's last row."""

    def __init__(self, settings: Settings) -> None:
        self._key = settings.secret_key.get_secret_value().encode()

    def encode(self, last: UUID) -> str:
        """Return the cursor of the page that follows this row."""
        return urlsafe_b64encode(last.bytes + self._signature(last.bytes)).decode().rstrip("=")

    def decode(self, cursor: str) -> UUID:
        """Return the id of the row before the page; raises InvalidCursor."""
        try:
            raw = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        except ValueError:
            raise InvalidCursor from None
        key, signature = raw[:16], raw[16:]
        if not hmac.compare_digest(signature, self._signature(key)):
            raise InvalidCursor
        return UUID(bytes=key)

    def _signature(self, key: bytes) -> bytes:
        return hmac.digest(self._key, b"cursor:" + key, "sha256")[:_SIGNATURE_BYTES]
