"""What blocks the event loop is named while it does."""

import asyncio
import time

import pytest
import structlog

from app.core.serving import watchdog


def test_a_blocked_event_loop_is_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # Not the one that other tests have used: that one keeps what it was first configured with.
    monkeypatch.setattr(watchdog, "log", structlog.get_logger())

    def named() -> list[int]:
        return [n for n, line in enumerate(logs) if ", in block\n" in line.get("stack", "")]

    def block() -> None:
        while not named():
            time.sleep(0.01)
        time.sleep(0.5)

    def wait_until_free() -> None:
        while logs[-1]["event"] != "event_loop_free":
            time.sleep(0.01)

    async def main() -> None:
        with watchdog.watching(0.2):
            block()
            await asyncio.to_thread(wait_until_free)

    began = time.monotonic()
    with structlog.testing.capture_logs() as logs:
        asyncio.run(main())
    # Others are named if the whole machine stood still.
    (blocked,) = named()
    free = logs[blocked + 1]
    assert free["event"] == "event_loop_free"
    assert 0.2 <= free["seconds"] <= time.monotonic() - began + 0.01
