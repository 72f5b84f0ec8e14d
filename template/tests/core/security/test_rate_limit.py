"""The bound on attempts to sign in."""

import pytest

from app.core.errors import TooManyAttempts
from app.core.security import rate_limit
from app.core.security.rate_limit import AttemptLimiter
from app.settings import Settings


@pytest.fixture
def attempts(settings: Settings) -> AttemptLimiter:
    """One attempt for each address, three for each client."""
    bounds = {"sign_in_attempts_per_email": 1, "sign_in_attempts_per_ip": 3}
    return AttemptLimiter(settings.model_copy(update=bounds))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be moved."""
    now = [1_000.0]
    monkeypatch.setattr(rate_limit, "monotonic", lambda: now[0])
    return now


def test_a_window_ends(attempts: AttemptLimiter, clock: list[float]) -> None:
    attempts.count("here", "ann")
    clock[0] += 290
    with pytest.raises(TooManyAttempts) as raised:
        attempts.count("there", "ann")
    assert raised.value.retry_after_seconds == 10
    clock[0] += 10
    attempts.count("there", "ann")


def test_a_client_is_limited_over_all_addresses(attempts: AttemptLimiter) -> None:
    for address in ("ann", "bob", "cid"):
        attempts.count("here", address)
    with pytest.raises(TooManyAttempts):
        attempts.count("here", "dan")
    attempts.count("there", "dan")


def test_success_does_not_count(attempts: AttemptLimiter) -> None:
    for _ in range(10):
        attempts.count("here", "ann")
        attempts.forgive("here", "ann")


def test_memory_is_bounded(attempts: AttemptLimiter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "_MAX_KEYS", 4)
    for number in range(10):
        attempts.count(f"client {number}", f"address {number}")
    attempts.count("client 0", "address 0")
    with pytest.raises(TooManyAttempts):
        attempts.count("client 9", "address 9")
