# {% from "includes/unasync.jinja" import unasync with context %}
"""Leases of jobs: claims, renewal, expiry and attempts."""

# {% call unasync() %}
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import pytest

from app.core.database.engine import Database
from app.core.jobs import lease
from app.core.jobs.lease import Change
from app.core.jobs.model import Job, Status
from app.domains.simulations.models import Simulation
from app.domains.users.models import User
from app.main import create_app
from app.settings import Settings
from tests import databases
from tests.client import serve
from tests.settings import make_settings

RESULT = {"mean": 1.5}


@pytest.fixture
def settings(server: str) -> Iterator[Settings]:
    """Return settings with an empty database for one test, and two attempts a job."""
    with databases.database(server) as url:
        yield make_settings(url, job_lease_seconds=60, job_attempts=2)


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    """Serve the application, and return its database."""
    app = create_app(settings)
    async with serve(app):
        yield app.state.components[Database]


async def apply(database: Database, change: Change) -> list[Any]:
    async with database.write() as session:
        rows = await session.scalars(change)
        return list(rows.all())


async def queue(database: Database, number: int) -> list[Simulation]:
    async with database.write() as session:
        ann = User(name="Ann", email=f"{uuid4().hex}@example.com", password_hash="-")
        session.add(ann)
        await session.flush()
        rows = [Simulation(owner_id=ann.id, paths=1, steps=1, seed=seed) for seed in range(number)]
        session.add_all(rows)
    return rows


async def claim(database: Database, settings: Settings) -> Simulation:
    claimed = await apply(database, lease.claim(Simulation, settings))
    row: Simulation = claimed[0]
    return row


async def read(database: Database, job: Job) -> Simulation:
    async with database.read() as session:
        row = await session.get(Simulation, job.id)
        assert row is not None
        return row


async def expire(database: Database, job: Job, settings: Settings) -> None:
    """Let a lease expire."""
    past = settings.model_copy(update={"job_lease_seconds": -1})
    assert await apply(database, lease.renew(job, 0.5, past))


async def test_oldest_job_is_claimed_first_and_once(database: Database, settings: Settings) -> None:
    queued = await queue(database, 3)
    claimed = [await claim(database, settings) for _ in range(3)]
    assert [job.id for job in claimed] == [job.id for job in queued]
    assert claimed[0].inputs == {"paths": 1, "steps": 1, "seed": 0}
    left = await apply(database, lease.claim(Simulation, settings))
    assert not left


async def test_heartbeat_renews_the_lease_and_stores_progress(
    database: Database, settings: Settings
) -> None:
    await queue(database, 1)
    job = await claim(database, settings)
    await apply(database, lease.renew(job, 0.25, settings))
    found = await apply(database, lease.sweep(Simulation, settings))
    row = await read(database, job)
    assert (found, row.status, row.progress) == ([], Status.RUNNING, 0.25)
    assert row.version > job.version


async def test_only_the_claim_holder_can_end_a_job(database: Database, settings: Settings) -> None:
    await queue(database, 1)
    dead = await claim(database, settings)
    await expire(database, dead, settings)
    found = await apply(database, lease.sweep(Simulation, settings))
    assert found == [dead.id]
    job = await claim(database, settings)
    assert (job.id, job.attempts) == (dead.id, 2)
    for change in (
        lease.renew(dead, 0.9, settings),
        lease.succeed(dead, {"mean": 7.0}),
        lease.fail(dead, "Too late."),
        lease.release(dead),
        lease.requeue(dead, settings),
    ):
        changed = await apply(database, change)
        assert not changed
    ended = await apply(database, lease.succeed(job, RESULT))
    again = await apply(database, lease.succeed(job, {"mean": 7.0}))
    assert (ended, again) == ([job.id], [])
    row = await read(database, job)
    assert (row.status, row.progress, row.result) == (Status.SUCCEEDED, 1.0, RESULT)


async def test_failed_job_cannot_change(database: Database, settings: Settings) -> None:
    await queue(database, 1)
    job = await claim(database, settings)
    await apply(database, lease.fail(job, "Too long."))
    for change in (
        lease.renew(job, 0.9, settings),
        lease.succeed(job, RESULT),
        lease.release(job),
    ):
        changed = await apply(database, change)
        assert not changed
    row = await read(database, job)
    assert (row.status, row.error, row.result) == (Status.FAILED, "Too long.", None)


async def test_attempts_are_limited(database: Database, settings: Settings) -> None:
    await queue(database, 1)
    for _ in range(2):
        job = await claim(database, settings)
        await expire(database, job, settings)
        await apply(database, lease.sweep(Simulation, settings))
    row = await read(database, job)
    assert (row.status, row.error) == (Status.FAILED, "The job failed 2 times: submit a new one.")


async def test_death_of_a_process_counts_as_an_attempt_and_a_stop_does_not(
    database: Database, settings: Settings
) -> None:
    await queue(database, 1)
    for _ in range(5):
        job = await claim(database, settings)
        await apply(database, lease.release(job))
    job = await claim(database, settings)
    await apply(database, lease.requeue(job, settings))
    row = await read(database, job)
    assert (row.status, row.attempts, row.claim) == (Status.QUEUED, 1, None)
    job = await claim(database, settings)
    await apply(database, lease.requeue(job, settings))
    row = await read(database, job)
    assert row.status == Status.FAILED


# {% endcall %}
