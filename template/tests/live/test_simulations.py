"""Concurrent submissions of simulations to a running service."""

import asyncio
from uuid import uuid4

import httpx2

from tests.live import Service

PATH = "/api/v1/simulations"
FORM = {"paths": 10, "steps": 10, "seed": 7}


def submit(service: Service, number: int, **headers: str) -> list[httpx2.Response]:
    """Submit that many simulations concurrently as a new user."""

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


def test_concurrent_submissions_with_one_idempotency_key_create_one_job(service: Service) -> None:
    responses = submit(service, 20, **{"Idempotency-Key": uuid4().hex})
    assert statuses(responses) == [200] * 19 + [202]
    assert len({response.headers["Location"] for response in responses}) == 1


def test_submissions_over_the_limit_of_a_caller_return_429(service: Service) -> None:
    assert statuses(submit(service, 30)) == [202] * 10 + [429] * 20
