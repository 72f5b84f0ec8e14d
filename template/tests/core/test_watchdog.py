"""What blocks the event loop is named while it does."""

import asyncio
import time

import pytest
import structlog

from app.core import watchdog


def test_it_says_where_the_event_loop_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    # Not the one that other tests have used: that one keeps what it was first configured with.
    monkeypatch.setattr(watchdog, "log", structlog.get_logger())

    async def main() -> float:
        with watchdog.watching(0.5):
            began = time.monotonic()
            await asyncio.sleep(0.2)
            # Or else the machine stood still.
            assert not logs or time.monotonic() - began > 0.4
            logs.clear()
            began = time.monotonic()
            time.sleep(1.5)  # noqa: ASYNC251
            slept_seconds = time.monotonic() - began
            await asyncio.sleep(0.5)
        return slept_seconds

    with structlog.testing.capture_logs() as logs:
        slept_seconds = asyncio.run(main())
    blocked, free, *_ = logs
    assert "time.sleep(1.5)" in blocked["stack"]
    assert sum("time.sleep(1.5)" in line.get("stack", "") for line in logs) == 1
    assert free["event"] == "event_loop_free"
    assert free["seconds"] == pytest.approx(slept_seconds, abs=1)
