"""Many submissions at once, to the service as a process of its own."""

import asyncio
from uuid import uuid4

import httpx2

from tests.live import Service

PATH = "/api/v1/simulations"
FORM = {"paths": 10, "steps": 10, "seed": 7}


def submit(service: Service, number: int, **headers: str) -> list[httpx2.Response]:
    """Submit as somebody new, that often at once."""

    async def main() -> list[httpx2.Response]:
        signed = service.sign_up() | headers
        limits = httpx2.Limits(max_connections=None)
        async with httpx2.AsyncClient(
            base_url=service.url, headers=signed, limits=limits, timeout=60
        ) as http:
            return await asyncio.gather(*(http.post(PATH, json=FORM) for _ in range(number)))

    return asyncio.run(main())


def statuses(responses: list[httpx2.Response]) -> list[int]:
    return sorted(response.status_code for response in responses)


def test_20_equal_submissions_are_one_job(service: Service) -> None:
    responses = submit(service, 20, **{"Idempotency-Key": uuid4().hex})
    assert statuses(responses) == [200] * 19 + [202]
    assert len({response.headers["Location"] for response in responses}) == 1


def test_no_more_wait_than_a_caller_may_have(service: Service) -> None:
    assert statuses(submit(service, 30)) == [202] * 10 + [429] * 20
