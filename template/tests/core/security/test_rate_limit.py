"""Rate limit for sign-in attempts, counted in this process."""

import pytest

from app.core.errors import TooManyAttempts
from app.core.security import rate_limit
from app.core.security.rate_limit import AttemptLimiter
from app.settings import Settings


@pytest.fixture
def attempts(settings: Settings) -> AttemptLimiter:
    """Return a limiter that allows one attempt per e-mail and three per IP address."""
    bounds = {"sign_in_attempts_per_email": 1, "sign_in_attempts_per_ip": 3}
    return AttemptLimiter(settings.model_copy(update=bounds))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the limiter's clock, which tests move forward."""
    now = [1_000.0]
    monkeypatch.setattr(rate_limit, "monotonic", lambda: now[0])
    return now


def test_the_limit_is_lifted_after_the_window(attempts: AttemptLimiter, clock: list[float]) -> None:
    attempts.count("here", "ann")
    clock[0] += 290
    with pytest.raises(TooManyAttempts) as raised:
        attempts.count("there", "ann")
    assert raised.value.retry_after_seconds == 10
    clock[0] += 10
    attempts.count("there", "ann")


def test_an_ip_address_is_limited_across_all_emails(attempts: AttemptLimiter) -> None:
    for email in ("ann", "bob", "cid"):
        attempts.count("here", email)
    with pytest.raises(TooManyAttempts):
        attempts.count("here", "dan")
    attempts.count("there", "dan")


def test_successful_attempts_are_not_counted(attempts: AttemptLimiter) -> None:
    for _ in range(10):
        attempts.count("here", "ann")
        attempts.forgive("here", "ann")


def test_stored_keys_are_limited(attempts: AttemptLimiter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "_MAX_KEYS", 4)
    for number in range(10):
        attempts.count(f"ip {number}", f"email {number}")
    attempts.count("ip 0", "email 0")
    with pytest.raises(TooManyAttempts):
        attempts.count("ip 9", "email 9")
