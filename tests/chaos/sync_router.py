"""Routes that wait, hold a connection, or block the event loop."""

import os
import time

from fastapi import APIRouter
from sqlalchemy import text

from app.core.dependencies import ReadSessionDep

router = APIRouter(prefix="/api/v1/chaos")

if moment := os.environ.get("CHAOS_END_AT"):
    # Not before all processes are here: they fail to start at the same time.
    time.sleep(max(0, float(moment) - time.time()))
    os._exit(3)


@router.get("/wait")
def wait(seconds: float) -> str:
    """Wait for something else."""
    time.sleep(seconds)
    return "waited"


@router.get("/query")
def query(seconds: float, session: ReadSessionDep) -> str:
    """Hold a connection."""
    session.execute(text("SELECT pg_sleep(:seconds)"), {"seconds": seconds})
    return "queried"


@router.get("/block")
async def block(seconds: float) -> str:
    """Do what nobody may do."""
    time.sleep(seconds)  # noqa: ASYNC251
    return "blocked"
