"""Pagination cursors."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from uuid import uuid4

import pytest

from app.core.http.pagination import Cursors, InvalidCursor
from app.settings import Settings


def test_a_cursor_decodes_to_the_encoded_id(settings: Settings) -> None:
    last = uuid4()
    assert Cursors(settings).decode(Cursors(settings).encode(last)) == last


def test_a_cursor_with_another_secret_key_is_refused(settings: Settings) -> None:
    other = settings.model_copy(update={"secret_key": type(settings.secret_key)("x" * 32)})
    with pytest.raises(InvalidCursor):
        Cursors(settings).decode(Cursors(other).encode(uuid4()))


def test_an_altered_cursor_is_refused(settings: Settings) -> None:
    cursors = Cursors(settings)
    raw = urlsafe_b64decode(cursors.encode(uuid4()) + "=")
    for index in range(len(raw)):
        altered = raw[:index] + bytes([raw[index] ^ 1]) + raw[index + 1 :]
        with pytest.raises(InvalidCursor):
            cursors.decode(urlsafe_b64encode(altered).decode())
