"""Router of the API, with the router of every domain."""

from fastapi import APIRouter

from app import domains
from app.core.http.problems import PROBLEMS


def api() -> APIRouter:
    """Include the router of every package in app/domains; a new domain needs no entry here."""
    router = APIRouter(responses=PROBLEMS)
    for module in domains.modules("router"):
        router.include_router(module.router)
    return router
