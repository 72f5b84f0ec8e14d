"""The bound on how much goes on at once."""

import anyio
import anyio.lowlevel
import pytest

from app.core.bulkhead import Bulkhead
from app.core.errors import Overloaded


def test_it_refuses_a_wait_that_is_too_long() -> None:
    async def main() -> None:
        bulkhead = Bulkhead(1, 0.01)
        async with bulkhead.slot():
            with pytest.raises(Overloaded):
                await bulkhead.slot().__aenter__()

    anyio.run(main)


def test_a_place_is_free_again_after_an_error() -> None:
    async def main() -> None:
        bulkhead = Bulkhead(1, 0.01)
        with pytest.raises(ZeroDivisionError):
            async with bulkhead.slot():
                raise ZeroDivisionError
        async with bulkhead.slot():
            pass

    anyio.run(main)


def test_places_are_given_in_order_of_arrival() -> None:
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
