"""Slots for concurrent work: timeout, release and order."""

import anyio
import anyio.lowlevel
import pytest

from app.core.bulkhead import Bulkhead
from app.core.errors import Overloaded


def test_waiting_for_a_slot_times_out() -> None:
    async def main() -> None:
        bulkhead = Bulkhead(1, 0.01)
        async with bulkhead.slot():
            with pytest.raises(Overloaded):
                await bulkhead.slot().__aenter__()

    anyio.run(main)


def test_an_error_releases_the_slot() -> None:
    async def main() -> None:
        bulkhead = Bulkhead(1, 0.01)
        with pytest.raises(ZeroDivisionError):
            async with bulkhead.slot():
                raise ZeroDivisionError
        async with bulkhead.slot():
            pass

    anyio.run(main)


def test_slots_are_granted_in_order_of_arrival() -> None:
    async def main() -> list[int]:
        bulkhead = Bulkhead(1, 30)
        served: list[int] = []

        async def request(number: int) -> None:
            async with bulkhead.slot():
                served.append(number)
                await anyio.lowlevel.checkpoint()

        async with anyio.create_task_group() as group:
            for number in range(10):
                group.start_soon(request, number)
        return served

    assert anyio.run(main) == list(range(10))
