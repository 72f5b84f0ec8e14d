"""Log entries of the watchdog about a blocked event loop."""

import asyncio
import time

import pytest
import structlog

from app.core.serving import watchdog


def test_a_blocked_event_loop_is_logged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # A logger that another test has used keeps its first configuration.
    monkeypatch.setattr(watchdog, "log", structlog.get_logger())

    def block_entries() -> list[int]:
        return [n for n, line in enumerate(logs) if ", in block\n" in line.get("stack", "")]

    def block() -> None:
        while not block_entries():
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
    # If the whole machine stalled, the watchdog logs other functions too.
    (blocked,) = block_entries()
    free = logs[blocked + 1]
    assert free["event"] == "event_loop_free"
    assert 0.2 <= free["seconds"] <= time.monotonic() - began + 0.01
