"""ASGI middleware: request id, security headers, request log, CORS, errors, body limit."""

import re
import sys
from asyncio import CancelledError
from http import HTTPStatus
from logging import DEBUG, INFO
from time import perf_counter
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.http.problems import problem
from app.core.resources import StartError

log = structlog.get_logger()

# Platforms ask every few seconds: successful health checks would fill the log.
_PROBES = {"/livez", "/readyz"}
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class RequestMiddleware:
    """Request id, security headers and one log line for each request."""

    def __init__(self, app: ASGIApp, *, secure: bool) -> None:
        self.app = app
        self.warned = False
        self.headers = dict(_HEADERS)
        if secure:
            self.headers["Strict-Transport-Security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, _without_traceback(send))
            return
        request_log = _RequestLog(scope, send, self.headers)
        if not self.warned and _is_forwarded_by_untrusted_peer(scope):
            self.warned = True
            log.warning(
                "forwarding_header_ignored",
                peer=scope["client"][0],
                hint="if this is your proxy, name it in FORWARDED_ALLOW_IPS",
            )
        with structlog.contextvars.bound_contextvars(request_id=request_log.request_id):
            try:
                await self.app(scope, receive, request_log.send)
            except CancelledError:
                # Only a stopping server cancels requests, once they have exceeded the grace period.
                log.error("request_cut", method=scope["method"], path=scope["path"])
                if request_log.status:
                    raise
                cut = problem(503, detail="The service is stopping.", headers={"Retry-After": "1"})
                await cut(scope, receive, request_log.send)
            finally:
                request_log.log()


class _RequestLog:
    """Request id, headers and log line of one request."""

    def __init__(self, scope: Scope, send: Send, headers: dict[str, str]) -> None:
        self.scope = scope
        # scope["app"] is another application once a mounted one has served the request.
        self._state = scope["app"].state
        self.started = perf_counter()
        self.status = 0
        self._send = send
        self._headers = headers
        given = Headers(scope=scope).get("X-Request-ID", "")
        # The log shows this text of the client, so only the format of an id is accepted.
        self.request_id = given if _REQUEST_ID.fullmatch(given) else uuid4().hex

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = int(message["status"])
            headers = MutableHeaders(scope=message)
            headers["X-Request-ID"] = self.request_id
            if self._state.draining:
                headers["Connection"] = "close"
            for name, value in self._headers.items():
                headers.setdefault(name, value)
        await self._send(message)

    def log(self) -> None:
        route = self.scope.get("route")
        client = self.scope.get("client")
        is_probe = self.scope["path"] in _PROBES and self.status < HTTPStatus.BAD_REQUEST
        log.log(
            DEBUG if is_probe else INFO,
            "request",
            method=self.scope["method"],
            # Unlike the path, the route has few values: logs can be grouped by this field.
            route=getattr(route, "path", None),
            path=self.scope["path"],
            status=self.status,
            duration_ms=round((perf_counter() - self.started) * 1_000, 2),
            client=client[0] if client else None,
        )


def _is_forwarded_by_untrusted_peer(scope: Scope) -> bool:
    # uvicorn replaces the client of a trusted proxy, and sets the port to 0.
    client = scope.get("client")
    return bool(client and client[1] and "x-forwarded-for" in Headers(scope=scope))


def _without_traceback(send: Send) -> Send:
    """Replace the traceback of a StartError by its message."""

    async def forward(message: Message) -> None:
        error = sys.exception()
        if isinstance(error, StartError):
            message = {**message, "message": str(error)}
        await send(message)

    return forward


class CorsMiddleware(CORSMiddleware):
    """Starlette's CORS middleware, with a problem document for a refused preflight request."""

    def preflight_response(self, request_headers: Headers) -> Response:
        """Answer a preflight request."""
        response = super().preflight_response(request_headers)
        if response.status_code == HTTPStatus.OK:
            return response
        return problem(response.status_code, detail=bytes(response.body).decode())


class ErrorMiddleware:
    """Problem document for every unhandled exception."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, watch)
        except StartError:
            # _without_traceback has reported this message already.
            raise
        except Exception:
            log.exception("unhandled_error")
            if started or scope["type"] != "http":
                # The status is sent already: only a closed connection can signal the failure.
                raise
            response = problem(500, detail="Internal server error.")
            await response(scope, receive, send)


class BodyLimitMiddleware:
    """Limit on the size of a request body, by its Content-Length and by the bytes received."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, with a limited body."""
        if scope["type"] == "http":
            length = Headers(scope=scope).get("content-length", "0")
            if length.isdecimal() and int(length[:20]) > self.max_bytes:
                response = problem(413, headers={"Connection": "close"})
                await response(scope, receive, send)
                return
            receive = self._bounded(receive)
        await self.app(scope, receive, send)

    def _bounded(self, receive: Receive) -> Receive:
        received = 0

        async def bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.max_bytes:
                raise HTTPException(413, headers={"Connection": "close"})
            return message

        return bounded
