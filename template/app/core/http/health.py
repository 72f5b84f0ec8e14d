"""Health checks: liveness and readiness."""

import structlog
from anyio import create_task_group, fail_after
from fastapi import APIRouter, Request, Response

from app.core.http.problems import problem
from app.core.http.schemas import Schema
from app.core.resources import Resource

log = structlog.get_logger()

router = APIRouter(tags=["health"])


class Health(Schema):
    """Readiness of the service, and the state of each resource."""

    status: str
    resources: dict[str, str]


@router.head("/livez", include_in_schema=False)
@router.get("/livez")
async def livez() -> dict[str, str]:
    """Return 200, without checking resources: a restart would not make them available."""
    return {"status": "alive"}


@router.head("/readyz", include_in_schema=False, response_model=None)
@router.get("/readyz", response_model=Health, responses={503: {"description": "Not ready"}})
async def readyz(request: Request) -> Health | Response:
    """Return 200 if ready, else 503 with the resources that are down; the log has the causes."""
    if not request.app.state.ready:
        return problem(503, kind="not-ready", detail="Shutting down.", headers={"Retry-After": "1"})
    components = request.app.state.components.values()
    resources = [component for component in components if isinstance(component, Resource)]
    timeout_seconds = request.app.state.settings.readiness_timeout_seconds
    states: dict[str, str] = {}

    async def ask(resource: Resource) -> None:
        name = type(resource).__name__.lower()
        try:
            with fail_after(timeout_seconds):
                await resource.check()
            states[name] = "up"
        except Exception as error:
            states[name] = "degraded" if resource.optional else "down"
            if not resource.optional:
                log.warning("not_ready", resource=name, error=repr(error))

    async with create_task_group() as group:
        for resource in resources:
            group.start_soon(ask, resource)
    down = sorted(name for name, state in states.items() if state == "down")
    if not down:
        return Health(status="ready", resources=states)
    detail = f"Down: {', '.join(down)}."
    return problem(503, kind="not-ready", detail=detail, headers={"Retry-After": "1"})
