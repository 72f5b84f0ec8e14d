"""What blocks the event loop is named while it does."""

import asyncio
import time

import pytest
import structlog

from app.core import watchdog


def test_it_says_where_the_event_loop_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    # Not the one that other tests have used: that one keeps what it was first configured with.
    monkeypatch.setattr(watchdog, "log", structlog.get_logger())

    async def main() -> None:
        with watchdog.watching(0.5):
            began = time.monotonic()
            await asyncio.sleep(0.2)
            # Or else the machine stood still.
            assert not logs or time.monotonic() - began > 0.4
            logs.clear()
            time.sleep(1.5)  # noqa: ASYNC251
            await asyncio.sleep(0.5)

    with structlog.testing.capture_logs() as logs:
        asyncio.run(main())
    blocked, free, *_ = logs
    assert "time.sleep(1.5)" in blocked["stack"]
    assert free["event"] == "event_loop_free"
    assert 0.5 < free["seconds"] < 10
