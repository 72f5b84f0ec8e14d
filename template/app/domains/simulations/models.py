"""Table of simulations."""

from typing import ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from app.core.jobs.model import Job


class Simulation(Job):
    """Simulation of a user, deleted together with the user."""

    __tablename__ = "simulations"

    owner_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    paths: Mapped[int]
    steps: Mapped[int]
    seed: Mapped[int] = mapped_column(BigInteger)

    input_columns: ClassVar[tuple[str, ...]] = ("paths", "steps", "seed")
