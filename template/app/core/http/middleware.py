"""ASGI middleware: the id, headers and log line of each request, and the limit on its body."""

import re
import sys
from asyncio import CancelledError
from http import HTTPStatus
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

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class RequestMiddleware:
    """An id, the security headers and one log line for each request."""

    def __init__(self, app: ASGIApp, *, secure: bool) -> None:
        self.app = app
        self.headers = dict(_HEADERS)
        if secure:
            self.headers["Strict-Transport-Security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, _without_traceback(send))
            return
        exchange = _RequestLog(scope, send, self.headers)
        with structlog.contextvars.bound_contextvars(request_id=exchange.request_id):
            try:
                await self.app(scope, receive, exchange.send)
            except CancelledError:
                # Only a server that stops cancels requests: those that take too long.
                log.error("request_cut", method=scope["method"], path=scope["path"])
                if exchange.status:
                    raise
                cut = problem(503, detail="The service is stopping.", headers={"Retry-After": "1"})
                await cut(scope, receive, exchange.send)
            finally:
                exchange.log()


class _RequestLog:
    """One request and the response to it."""

    def __init__(self, scope: Scope, send: Send, headers: dict[str, str]) -> None:
        self.scope = scope
        self.started = perf_counter()
        self.status = 0
        self._send = send
        self._headers = headers
        given = Headers(scope=scope).get("X-Request-ID", "")
        # A stranger's text in our logs has to look like an id.
        self.request_id = given if _REQUEST_ID.fullmatch(given) else uuid4().hex

    async def send(self, message: Message) -> None:
        """Pass it on, with our headers on its start."""
        if message["type"] == "http.response.start":
            self.status = int(message["status"])
            headers = MutableHeaders(scope=message)
            headers["X-Request-ID"] = self.request_id
            if self.scope["app"].state.draining:
                headers["Connection"] = "close"
            for name, value in self._headers.items():
                headers.setdefault(name, value)
        await self._send(message)

    def log(self) -> None:
        """Write the line of this request."""
        route = self.scope.get("route")
        client = self.scope.get("client")
        log.info(
            "request",
            method=self.scope["method"],
            # The template of the path: few of them, to count by.
            route=getattr(route, "path", None),
            path=self.scope["path"],
            status=self.status,
            duration_ms=round((perf_counter() - self.started) * 1_000, 2),
            client=client[0] if client else None,
        )


def _without_traceback(send: Send) -> Send:
    """Tell of a start that is refused without a traceback."""

    async def tell(message: Message) -> None:
        refused = sys.exception()
        if isinstance(refused, StartError):
            message = {**message, "message": str(refused)}
        await send(message)

    return tell


class CorsMiddleware(CORSMiddleware):
    """Starlette's; a preflight that is refused is a problem, as every error."""

    def preflight_response(self, request_headers: Headers) -> Response:
        """Answer whether the browser may send its request."""
        response = super().preflight_response(request_headers)
        if response.status_code == HTTPStatus.OK:
            return response
        return problem(response.status_code, detail=bytes(response.body).decode())


class ErrorMiddleware:
    """A problem for what nobody caught."""

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
            # Told in a sentence already.
            raise
        except Exception:
            log.exception("unhandled_error")
            if started or scope["type"] != "http":
                # The response has begun: only a broken connection can still tell.
                raise
            response = problem(500, detail="Internal server error.")
            await response(scope, receive, send)


class BodyLimitMiddleware:
    """Refuse a body above the limit: by its announced length, or as soon as it is passed."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request whose body is small enough."""
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
