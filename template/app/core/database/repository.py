# {% from "includes/unasync.jinja" import unasync with context %}
"""The queries that every domain needs."""

# {% call unasync() %}
from collections.abc import Mapping, Sequence
from typing import ClassVar, Generic, TypeVar, cast
from uuid import UUID

from sqlalchemy import Table, select
from sqlalchemy.exc import IntegrityError

from app.core.database.models import Record
from app.core.database.transactions import ReadSession, WriteSession, violates
from app.core.errors import Conflict

Model = TypeVar("Model", bound=Record)


class Repository(Generic[Model]):
    """The rows of one model, on a session that it was given. It flushes and never commits."""

    model: type[Model]
    # What the violation of a unique constraint means, by the constraint's name.
    conflicts: ClassVar[Mapping[str, type[Conflict]]] = {}

    def __init__(self, session: ReadSession | WriteSession) -> None:
        self.session = session

    async def get(self, key: UUID) -> Model | None:
        """The row with this id."""
        return await self.session.get(self.model, key)

    async def get_by(self, **values: object) -> Model | None:
        """The one row with these values."""
        return await self.session.scalar(select(self.model).filter_by(**values))

    async def get_for_update(self, key: UUID) -> Model | None:
        """The row with this id, kept from others until the end of the transaction."""
        return await self.session.get(self.model, key, with_for_update=True)

    async def page(self, after: UUID | None, limit: int) -> Sequence[Model]:
        """Up to `limit` rows in order of creation, the first one behind `after`."""
        query = select(self.model).order_by(self.model.id).limit(limit)
        if after is not None:
            query = query.where(self.model.id > after)
        rows = await self.session.scalars(query)
        return rows.all()

    async def add(self, row: Model) -> None:
        """Insert it; raises the conflict that its unique constraints tell of."""
        self.session.add(row)
        await self.flush()

    async def delete(self, row: Model) -> None:
        """Delete it."""
        await self.session.delete(row)
        await self.flush()

    async def flush(self) -> None:
        """Send what was changed; raises the conflict that its unique constraints tell of."""
        try:
            await self.session.flush()
        except IntegrityError as error:
            table = cast(Table, self.model.__table__)
            for constraint, conflict in self.conflicts.items():
                if violates(error, table, constraint):
                    raise conflict from error
            raise


# {% endcall %}
