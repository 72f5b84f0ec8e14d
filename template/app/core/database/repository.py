# {% from "includes/unasync.jinja" import unasync with context %}
"""Base class of repositories, with the queries that every domain needs."""

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
    """Queries of one model on a given session; they flush, and never commit."""

    model: type[Model]
    # The error to raise for each unique constraint, by the constraint's name.
    conflicts: ClassVar[Mapping[str, type[Conflict]]] = {}

    def __init__(self, session: ReadSession | WriteSession) -> None:
        self.session = session

    async def get(self, key: UUID) -> Model | None:
        """Return the row with this id, or None."""
        return await self.session.get(self.model, key)

    async def get_by(self, **values: object) -> Model | None:
        """Return the row with these values, or None."""
        return await self.session.scalar(select(self.model).filter_by(**values))

    async def get_for_update(self, key: UUID) -> Model | None:
        """Return the row with this id, locked until the end of the transaction, or None."""
        return await self.session.get(self.model, key, with_for_update=True)

    async def page(self, after: UUID | None, limit: int) -> Sequence[Model]:
        """Return up to `limit` rows in order of creation, starting after the id `after`."""
        query = select(self.model).order_by(self.model.id).limit(limit)
        if after is not None:
            query = query.where(self.model.id > after)
        rows = await self.session.scalars(query)
        return rows.all()

    async def add(self, row: Model) -> None:
        """Insert the row; raises the error of a violated constraint in `conflicts`."""
        self.session.add(row)
        await self.flush()

    async def delete(self, row: Model) -> None:
        """Delete the row."""
        await self.session.delete(row)
        await self.flush()

    async def flush(self) -> None:
        """Send pending changes; raises the error of a violated constraint in `conflicts`."""
        try:
            await self.session.flush()
        except IntegrityError as error:
            table = cast(Table, self.model.__table__)
            for constraint, conflict in self.conflicts.items():
                if violates(error, table, constraint):
                    raise conflict from error
            raise


# {% endcall %}
