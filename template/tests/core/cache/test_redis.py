"""Validation of REDIS_URL."""

import pytest

from app.settings import SettingsError, load_settings


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ("", "is not set"),
        ("http://host", "is not valid: write it as redis://"),
        ("redis://host:port/0", "is not valid: write it as redis://"),
        ("host:6379", "is not valid: write it as redis://"),
        ("redis://host/0?decode_responses=True", "is not valid: leave out decode_responses"),
        ("redis://host/0?socket_timeout=30", "is not valid: leave out socket_timeout"),
    ],
)
def test_invalid_url_is_refused(monkeypatch: pytest.MonkeyPatch, wrong: str, sentence: str) -> None:
    monkeypatch.setenv("REDIS_URL", wrong)
    with pytest.raises(SettingsError, match=f"REDIS_URL {sentence}"):
        load_settings()
