# {% from "includes/unasync.jinja" import unasync with context %}
"""Simulation routes, without a worker: submitted jobs stay queued."""

# {% call unasync() %}
from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI

from app.core.database.engine import Database
from app.core.jobs import lease
from app.domains.simulations.models import Simulation
from tests.accounts import Account
from tests.client import Client

PATH = "/api/v1/simulations"
FORM = {"paths": 10, "steps": 10, "seed": 7}


async def submit(client: Client, account: Account, **headers: str) -> Any:
    return await client.post(PATH, json=FORM, headers=account.headers | headers)


async def test_a_submitted_simulation_is_queued_and_readable(client: Client, ann: Account) -> None:
    submitted = await submit(client, ann)
    assert submitted.status_code == 202
    state = submitted.json()
    assert submitted.headers["Location"] == f"{PATH}/{state['id']}"
    assert state.pop("id")
    assert state == {"status": "queued", "progress": 0.0, "result": None, "error": None}
    read = await client.get(submitted.headers["Location"], headers=ann.headers)
    assert (read.status_code, read.json()) == (200, submitted.json())


async def test_callers_see_only_their_own_jobs(client: Client, ann: Account, bob: Account) -> None:
    submitted = await submit(client, ann)
    path = submitted.headers["Location"]
    read = await client.get(path, headers=bob.headers)
    cancelled = await client.delete(path, headers=bob.headers)
    unknown = await client.get(f"{PATH}/{uuid4()}", headers=ann.headers)
    anonymous = await client.get(path)
    statuses = [each.status_code for each in (read, cancelled, unknown, anonymous)]
    assert statuses == [404, 404, 404, 401]
    assert read.json()["type"] == "urn:problem-type:simulation-not-found"


async def test_queued_jobs_are_cancelled_at_once(client: Client, ann: Account) -> None:
    submitted = await submit(client, ann)
    path = submitted.headers["Location"]
    for _ in range(2):
        cancelled = await client.delete(path, headers=ann.headers)
        assert cancelled.status_code == 204
    read = await client.get(path, headers=ann.headers)
    assert read.json()["status"] == "cancelled"


async def test_ended_jobs_cannot_be_cancelled(client: Client, app: FastAPI, ann: Account) -> None:
    result = {"mean": 1.0, "deviation": 0.0, "p5": 1.0, "p50": 1.0, "p95": 1.0}
    submitted = await submit(client, ann)
    path = submitted.headers["Location"]
    async with app.state.components[Database].write() as session:
        job = await session.scalar(lease.claim(Simulation, app.state.settings))
        await session.execute(lease.succeed(job, result))
    refused = await client.delete(path, headers=ann.headers)
    assert refused.status_code == 409
    assert refused.json()["type"] == "urn:problem-type:simulation-ended"
    read = await client.get(path, headers=ann.headers)
    ended = {"status": "succeeded", "progress": 1.0, "result": result, "error": None}
    assert read.json() == {"id": submitted.json()["id"], **ended}


@pytest.mark.parametrize(
    "change",
    [
        {"paths": 0},
        {"paths": 100_001},
        {"steps": 0},
        {"steps": 1_000_001},
        {"paths": 100_000, "steps": 1_001},
        {"seed": -1},
        {"seed": 2**63},
        {"seed": 1.5},
        {"seed": None},
        {"name": "Ann"},
    ],
)
async def test_invalid_input_is_refused(
    client: Client,
    ann: Account,
    change: dict[str, Any],
) -> None:
    refused = await client.post(PATH, json=FORM | change, headers=ann.headers)
    assert refused.status_code == 422
    assert refused.json()["type"] == "urn:problem-type:invalid-input"


async def test_a_key_creates_one_job_per_caller(client: Client, ann: Account, bob: Account) -> None:
    key = {"Idempotency-Key": "a key of Ann's"}
    first = await submit(client, ann, **key)
    again = await submit(client, ann, **key)
    assert (first.status_code, again.status_code) == (202, 200)
    assert first.headers["Location"] == again.headers["Location"]
    assert first.json() == again.json()
    another = await submit(client, ann)
    of_bob = await submit(client, bob, **key)
    locations = {each.headers["Location"] for each in (first, another, of_bob)}
    assert len(locations) == 3


async def test_an_idempotency_key_with_other_input_is_refused(client: Client, ann: Account) -> None:
    headers = ann.headers | {"Idempotency-Key": "key"}
    await client.post(PATH, json=FORM, headers=headers)
    refused = await client.post(PATH, json=FORM | {"seed": 8}, headers=headers)
    assert refused.status_code == 422
    assert refused.json()["type"] == "urn:problem-type:key-reused"


@pytest.mark.parametrize("settings", [{"idempotency_key_seconds": 0}], indirect=True)
async def test_an_idempotency_key_expires(client: Client, ann: Account) -> None:
    first = await submit(client, ann, **{"Idempotency-Key": "key"})
    later = await submit(client, ann, **{"Idempotency-Key": "key"})
    assert later.status_code == 202
    assert first.headers["Location"] != later.headers["Location"]
    read = await client.get(first.headers["Location"], headers=ann.headers)
    assert read.status_code == 200


@pytest.mark.parametrize("settings", [{"cors_origins": "https://front.example"}], indirect=True)
async def test_cors_allows_the_idempotency_key_header(client: Client) -> None:
    headers = {
        "Origin": "https://front.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "Idempotency-Key",
    }
    allowed = await client.options(PATH, headers=headers)
    assert allowed.status_code == 200


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\there"])
async def test_invalid_idempotency_keys_are_refused(client: Client, ann: Account, key: str) -> None:
    refused = await submit(client, ann, **{"Idempotency-Key": key})
    assert refused.status_code == 422


@pytest.mark.parametrize("settings", [{"jobs_waiting_per_caller": 2}], indirect=True)
async def test_queue_is_limited_for_each_caller(client: Client, ann: Account, bob: Account) -> None:
    key = {"Idempotency-Key": "key"}
    first = await submit(client, ann, **key)
    await submit(client, ann)
    refused = await submit(client, ann)
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "10"
    # A known key queues no second job, and the limit of another caller is separate.
    known = await submit(client, ann, **key)
    of_bob = await submit(client, bob)
    assert (known.status_code, of_bob.status_code) == (200, 202)
    await client.delete(first.headers["Location"], headers=ann.headers)
    later = await submit(client, ann)
    assert later.status_code == 202


@pytest.mark.parametrize("settings", [{"jobs_waiting": 2}], indirect=True)
async def test_the_queue_is_limited_for_all_callers_together(
    client: Client, ann: Account, bob: Account
) -> None:
    await submit(client, ann)
    await submit(client, ann)
    refused = await submit(client, bob)
    assert refused.status_code == 503
    assert refused.headers["Retry-After"] == "10"
    assert refused.json()["type"] == "urn:problem-type:backlog-full"


async def test_deleting_a_user_deletes_their_simulations(client: Client, ann: Account) -> None:
    submitted = await submit(client, ann)
    await client.delete("/api/v1/users/me", headers=ann.headers)
    read = await client.get(submitted.headers["Location"], headers=ann.headers)
    late = await submit(client, ann)
    assert (read.status_code, late.status_code) == (404, 401)


# {% endcall %}
