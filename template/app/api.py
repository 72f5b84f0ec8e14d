"""The API: the router of every domain."""

from fastapi import APIRouter

from app import domains
from app.core.http.problems import PROBLEMS


def api() -> APIRouter:
    """Find the routers by themselves: a new domain is a new folder."""
    router = APIRouter(responses=PROBLEMS)
    for module in domains.modules("router"):
        router.include_router(module.router)
    return router
