# {% from "includes/unasync.jinja" import unasync with context %}
"""Job queue: notification of the runner, cancellation and request id."""

# {% call unasync() %}
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from structlog.contextvars import bind_contextvars, clear_contextvars

from app.core.database.engine import Database
from app.core.database.transactions import WriteSession
from app.core.jobs import lease
from app.core.jobs.model import JobRunner, Status
from app.core.jobs.queue import JobQueue
from app.domains.simulations.models import Simulation
from app.domains.simulations.tasks import SIMULATE
from app.domains.users.models import User
from app.main import create_app
from tests.client import serve
from tests.settings import make_settings

# {% endcall %}


class Runner(JobRunner):
    """Runner that counts its notifications."""

    notifications = 0

    async def check(self) -> None:
        """Return without an error: this runner is always available."""

    def notify(self) -> None:
        """Count a notification."""
        self.notifications += 1


# {% call unasync() %}
@pytest.fixture
async def database(lasting_url: str) -> AsyncIterator[Database]:
    """Serve an application whose transactions commit, and return its database."""
    app = create_app(make_settings(lasting_url))
    async with serve(app):
        yield app.state.components[Database]


@pytest.fixture
def runner(lasting_url: str) -> Runner:
    """Return a runner without notifications."""
    return Runner(make_settings(lasting_url))


async def submit(session: WriteSession, runner: Runner, owner: User) -> Simulation:
    session.add(owner)
    await session.flush()
    job = Simulation(owner_id=owner.id, idempotency_key="key", paths=1, steps=1, seed=1)
    return await JobQueue(SIMULATE, session, runner).submit(job)


def user() -> User:
    return User(name="Ann", email=f"{uuid4().hex}@example.com", password_hash="-")


async def test_runner_is_notified_after_the_commit(database: Database, runner: Runner) -> None:
    ann = user()
    async with database.write() as session:
        await submit(session, runner, ann)
        assert runner.notifications == 0
    assert runner.notifications == 1
    async with database.write() as session:
        again = await session.merge(ann)
        await submit(session, runner, again)
    assert runner.notifications == 1


async def test_runner_is_not_notified_after_a_rollback(database: Database, runner: Runner) -> None:
    async def fail() -> None:
        async with database.write() as session:
            await submit(session, runner, user())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert runner.notifications == 0


async def test_runner_cannot_change_a_cancelled_job(database: Database, runner: Runner) -> None:
    async with database.write() as session:
        submitted = await submit(session, runner, user())
    async with database.write() as session:
        claimed = await session.get(Simulation, submitted.id)
        assert claimed is not None
        claimed.status, claimed.claim = Status.RUNNING, uuid4()
    async with database.write() as session:
        job = await session.get(Simulation, submitted.id, with_for_update=True)
        assert job is not None
        cancelled = await JobQueue(SIMULATE, session, runner).cancel(job)
        assert cancelled
        for change in (
            lease.renew(claimed, 0.5, runner.settings),
            lease.fail(claimed, "Too late."),
        ):
            changed = await session.scalar(change)
            assert changed is None
    assert (job.status, job.error) == (Status.CANCELLED, None)


async def test_job_stores_the_request_id(database: Database, runner: Runner) -> None:
    bind_contextvars(request_id="request-17")
    async with database.write() as session:
        job = await submit(session, runner, user())
    clear_contextvars()
    assert job.request_id == "request-17"


# {% endcall %}
