# {% from "includes/unasync.jinja" import unasync with context %}
"""Health checks: /livez and /readyz."""

import pytest
from anyio import sleep_forever
from fastapi import FastAPI

from app.core.resources import Resource
from tests.client import Client


class Stuck(Resource):
    """Resource whose health check never ends."""

    async def check(self) -> None:
        """Wait forever."""
        await sleep_forever()


class Broken(Resource):
    """Resource whose error message contains a secret."""

    async def check(self) -> None:
        """Raise an error with a secret in its message."""
        raise RuntimeError("cannot reach me:hunter2@host")


class Spare(Broken):
    """Failing resource that is optional."""

    optional = True


# {% call unasync() %}
async def test_a_running_service_is_alive_and_ready(client: Client) -> None:
    alive = await client.get("/livez")
    ready = await client.get("/readyz")
    assert alive.json() == {"status": "alive"}
    assert ready.json()["status"] == "ready"
    assert ready.json()["resources"]["database"] == "up"
    assert set(ready.json()["resources"].values()) == {"up"}


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_probes_may_use_head(client: Client, path: str) -> None:
    response = await client.head(path)
    assert response.status_code == 200


async def test_ready_while_an_optional_resource_is_down(client: Client, app: FastAPI) -> None:
    app.state.components[Spare] = Spare(app.state.settings)
    ready = await client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["resources"]["spare"] == "degraded"


async def test_not_ready_names_the_resources_that_are_down(client: Client, app: FastAPI) -> None:
    app.state.settings = app.state.settings.model_copy(update={"readiness_timeout_seconds": 1})
    app.state.components |= {kind: kind(app.state.settings) for kind in (Stuck, Broken)}
    ready = await client.get("/readyz")
    alive = await client.get("/livez")
    assert (ready.status_code, alive.status_code) == (503, 200)
    assert ready.json()["detail"] == "Down: broken, stuck."
    assert ready.headers["Retry-After"] == "1"
    assert "hunter2" not in ready.text


# {% endcall %}
