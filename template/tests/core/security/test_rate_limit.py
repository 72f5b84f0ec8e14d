"""Rate limit for sign-in attempts, counted in this process."""

import pytest

from app.core.errors import TooManyAttempts
from app.core.security import rate_limit
from app.core.security.rate_limit import AttemptLimit, AttemptLimiter
from app.settings import Settings


def limits(ip: str, email: str) -> tuple[AttemptLimit, AttemptLimit]:
    """Return limits of three attempts for an IP address and one for an e-mail."""
    return AttemptLimit(ip, 3, "release"), AttemptLimit(email, 1, "reset")


@pytest.fixture
def attempts(settings: Settings) -> AttemptLimiter:
    """Return a limiter."""
    return AttemptLimiter(settings)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the limiter's clock, which tests move forward."""
    now = [1_000.0]
    monkeypatch.setattr(rate_limit, "monotonic", lambda: now[0])
    return now


def test_the_limit_is_lifted_after_the_window(attempts: AttemptLimiter, clock: list[float]) -> None:
    attempts.count(*limits("here", "ann"))
    clock[0] += 290
    with pytest.raises(TooManyAttempts) as raised:
        attempts.count(*limits("there", "ann"))
    assert raised.value.retry_after_seconds == 10
    clock[0] += 10
    attempts.count(*limits("elsewhere", "ann"))


def test_each_key_has_its_own_limit(attempts: AttemptLimiter) -> None:
    for email in ("ann", "bob", "cid"):
        attempts.count(*limits("here", email))
    with pytest.raises(TooManyAttempts):
        attempts.count(*limits("here", "dan"))
    attempts.count(*limits("there", "dan"))


def test_successful_attempts_do_not_count(attempts: AttemptLimiter) -> None:
    for _ in range(10):
        attempts.count(*limits("here", "ann"))
        attempts.succeed(*limits("here", "ann"))


def test_success_counts_where_the_limit_says_so(attempts: AttemptLimiter) -> None:
    limit = AttemptLimit("sign-up here", 1, "count")
    attempts.count(limit)
    attempts.succeed(limit)
    with pytest.raises(TooManyAttempts):
        attempts.count(limit)


def test_released_attempts_do_not_count(attempts: AttemptLimiter) -> None:
    for _ in range(10):
        attempts.count(*limits("here", "ann"))
        attempts.release(*limits("here", "ann"))


def test_stored_keys_are_limited(attempts: AttemptLimiter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "_MAX_KEYS", 4)
    for number in range(10):
        attempts.count(*limits(f"ip {number}", f"email {number}"))
    attempts.count(*limits("ip 0", "email 0"))
    with pytest.raises(TooManyAttempts):
        attempts.count(*limits("ip 9", "email 9"))
