"""Application factory: connects settings, routes, middleware and components."""

from fastapi import FastAPI

from app import DESCRIPTION, NAME
from app.api import api
from app.core.http import health
from app.core.http.middleware import (
    BodyLimitMiddleware,
    CorsMiddleware,
    ErrorMiddleware,
    RequestMiddleware,
)
from app.core.http.pagination import Cursors
from app.core.http.problems import ProblemAPI, install_handlers
from app.core.logging import configure_logging
from app.core.security.passwords import Passwords
from app.core.security.rate_limit import AttemptLimiter
from app.core.security.tokens import Tokens
from app.lifespan import lifespan
from app.settings import Settings, load_settings


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the application from the settings, or else from those of the environment."""
    settings = settings or load_settings()
    configure_logging(settings)
    app = ProblemAPI(
        title=NAME,
        description=DESCRIPTION,
        lifespan=lifespan,
        openapi_url="/openapi.json" if settings.show_docs else None,
        redoc_url=None,
        generate_unique_id_function=lambda route: "_".join([*map(str, route.tags), route.name]),
        # The URL of a redirect would use the request's Host header, which a client can forge.
        redirect_slashes=False,
    )
    app.state.settings = settings
    # core/serving/server.py sets both during shutdown.
    app.state.ready = True
    app.state.draining = False
    app.state.components = {
        component: component(settings)
        for component in (
            AttemptLimiter,
            Cursors,
            Passwords,
            Tokens,
            # Add yours below.
        )
    }
    app.include_router(health.router)
    app.include_router(api())
    install_handlers(app)
    _add_middleware(app, settings)
    return app


def _add_middleware(app: FastAPI, settings: Settings) -> None:
    """Add the middleware from the inside out: the last one added sees a request first."""
    app.add_middleware(BodyLimitMiddleware, max_bytes=settings.max_body_bytes)
    # Add yours below.
    app.add_middleware(ErrorMiddleware)
    # CORS surrounds the error middleware, so that browsers can read error responses too.
    app.add_middleware(
        CorsMiddleware,
        allow_origins=settings.cors_origins,
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=[
            "Authorization",
            # {% if cpu_jobs != "none" %}
            "Idempotency-Key",
            # {% endif %}
            "If-Match",
            "If-None-Match",
            "X-Request-ID",
            # Add yours below.
        ],
        expose_headers=[
            "ETag",
            "Location",
            "Retry-After",
            "X-Request-ID",
            # Add yours below.
        ],
    )
    app.add_middleware(RequestMiddleware, secure=settings.environment == "production")
