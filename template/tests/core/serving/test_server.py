"""Server options: trusted proxies."""

import asyncio

import httpx2
import pytest
import uvicorn
from fastapi import Request
from fastapi.responses import PlainTextResponse

from app.core.serving.server import server_config
from app.main import create_app
from tests.settings import make_settings


@pytest.mark.parametrize(("trusted", "client"), [("", "127.0.0.1"), ("127.0.0.0/8", "203.0.113.7")])
def test_only_trusted_proxies_set_client_ip(database_url: str, trusted: str, client: str) -> None:
    app = create_app(make_settings(database_url, forwarded_allow_ips=trusted))

    @app.get("/client", response_class=PlainTextResponse)
    async def show(request: Request) -> str:
        assert request.client
        return request.client.host

    config = uvicorn.Config(app, **server_config(app.state.settings))
    config.load()

    async def main() -> str:
        transport = httpx2.ASGITransport(config.loaded_app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as http:
            response = await http.get("/client", headers={"X-Forwarded-For": "203.0.113.7"})
        return response.text

    assert asyncio.run(main()) == client
