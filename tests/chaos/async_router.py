"""Routes that wait, hold a connection, or block the event loop."""

import asyncio
import os
import time

from fastapi import APIRouter
from sqlalchemy import text

from app.core.dependencies import ReadSessionDep

router = APIRouter(prefix="/api/v1/chaos")

if end_at := os.environ.get("CHAOS_END_AT"):
    # All processes wait for the same point in time, so that all fail to start together.
    time.sleep(max(0, float(end_at) - time.time()))
    os._exit(3)


@router.get("/wait")
async def wait(seconds: float) -> str:
    """Wait without a database connection."""
    await asyncio.sleep(seconds)
    return "waited"


@router.get("/query")
async def query(seconds: float, session: ReadSessionDep) -> str:
    """Hold a database connection."""
    await session.execute(text("SELECT pg_sleep(:seconds)"), {"seconds": seconds})
    return "queried"


@router.get("/block")
async def block(seconds: float) -> str:
    """Block the event loop."""
    time.sleep(seconds)  # noqa: ASYNC251
    return "blocked"
