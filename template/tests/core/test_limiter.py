"""The bound on attempts."""

import pytest

from app.core import limiter
from app.core.errors import TooManyAttempts
from app.core.limiter import AttemptLimiter
from app.settings import Settings


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be moved."""
    now = [1_000.0]
    monkeypatch.setattr(limiter, "monotonic", lambda: now[0])
    return now


def test_a_window_ends(settings: Settings, clock: list[float]) -> None:
    attempts = AttemptLimiter(settings)
    attempts.attempt("ann", 1)
    clock[0] += settings.sign_in_window_seconds - 10
    with pytest.raises(TooManyAttempts) as raised:
        attempts.attempt("ann", 1)
    assert raised.value.retry_after_seconds == 10
    clock[0] += 10
    attempts.attempt("ann", 1)


def test_keys_are_counted_apart(settings: Settings) -> None:
    attempts = AttemptLimiter(settings)
    attempts.attempt("ann", 1)
    attempts.attempt("bob", 1)
    with pytest.raises(TooManyAttempts):
        attempts.attempt("bob", 1)


def test_success_starts_anew(settings: Settings) -> None:
    attempts = AttemptLimiter(settings)
    attempts.attempt("ann", 1)
    attempts.forget("ann")
    attempts.attempt("ann", 1)


def test_memory_is_bounded(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limiter, "_MOST_KEYS", 3)
    attempts = AttemptLimiter(settings)
    for number in range(10):
        attempts.attempt(str(number), 1)
    attempts.attempt("0", 1)
    with pytest.raises(TooManyAttempts):
        attempts.attempt("9", 1)
