"""Problem documents for all errors (RFC 9457)."""

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException
from starlette.responses import Response
from structlog.contextvars import get_contextvars

from app.core import errors

# A class without an entry has the status of its nearest base class.
STATUS: Mapping[type[errors.ServiceError], HTTPStatus] = {
    errors.ServiceError: HTTPStatus.BAD_REQUEST,
    errors.InvalidInput: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.Unauthenticated: HTTPStatus.UNAUTHORIZED,
    errors.Forbidden: HTTPStatus.FORBIDDEN,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.PreconditionFailed: HTTPStatus.PRECONDITION_FAILED,
    errors.TooManyAttempts: HTTPStatus.TOO_MANY_REQUESTS,
    errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}

# A request can have an error for each unknown key, and a key as long as its body.
_MAX_PARTS = 20
_MAX_LOCATION = 200


class InvalidPart(BaseModel):
    """One invalid part of a request."""

    location: str
    message: str


class Problem(BaseModel):
    """Problem document: title and detail for people; type, status and errors for programs."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[InvalidPart] | None = None


def problem(
    status: int,
    *,
    kind: str | None = None,
    detail: str | None = None,
    invalid: list[InvalidPart] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a response with a problem document; without a `kind` the type is `about:blank`."""
    title = HTTPStatus(status).phrase
    document = Problem(
        type=f"urn:problem-type:{kind}" if kind else "about:blank",
        title=title,
        status=status,
        detail=detail or title,
        request_id=get_contextvars().get("request_id", ""),
        errors=invalid,
    )
    # ASCII only: a field's name may hold lone surrogates, which UTF-8 cannot encode.
    body = json.dumps(document.model_dump(exclude_none=True))
    return Response(body, status, headers, media_type="application/problem+json")


def install_handlers(app: FastAPI) -> None:
    """Answer every error that reaches FastAPI with a problem document."""
    app.exception_handler(errors.ServiceError)(_service_error)
    app.exception_handler(HTTPException)(_http_error)
    app.exception_handler(RequestValidationError)(_validation_error)


async def _service_error(_request: Request, error: errors.ServiceError) -> Response:
    status = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    headers = {}
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(error.retry_after_seconds)
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    invalid = None
    if isinstance(error, errors.InvalidInput):
        invalid = [InvalidPart(location=error.field, message=error.message)]
    kind = re.sub(r"(?<!^)(?=[A-Z])", "-", type(error).__name__).lower()
    return problem(status, kind=kind, detail=error.message, invalid=invalid, headers=headers)


async def _http_error(_request: Request, error: HTTPException) -> Response:
    # FastAPI allows any JSON as a detail, and a problem document only text.
    detail: object = error.detail
    text = detail if isinstance(detail, str) else json.dumps(detail, default=str)
    return problem(error.status_code, detail=text, headers=error.headers)


async def _validation_error(_request: Request, error: RequestValidationError) -> Response:
    # A body that a dependency reads too is validated twice. Invalid values are left out: one may
    # be a password.
    parts = list(dict.fromkeys((".".join(map(str, p["loc"])), p["msg"]) for p in error.errors()))
    invalid = [
        InvalidPart(location=location[:_MAX_LOCATION], message=message)
        for location, message in parts[:_MAX_PARTS]
    ]
    malformed = any(part["type"] == "json_invalid" for part in error.errors())
    status = HTTPStatus.BAD_REQUEST if malformed else HTTPStatus.UNPROCESSABLE_ENTITY
    detail = "Invalid request: see `errors`."
    if len(parts) > _MAX_PARTS:
        detail = f"Invalid request: see `errors`, the first {_MAX_PARTS} of {len(parts)}."
    return problem(status, kind="invalid-input", detail=detail, invalid=invalid)


_CONTENT = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "Client error", "content": _CONTENT},
    "5XX": {"description": "Server error", "content": _CONTENT},
}


class ProblemAPI(FastAPI):
    """FastAPI application whose OpenAPI document includes the schemas of problems."""

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document, built once."""
        if self.openapi_schema is None:
            _, definitions = models_json_schema(
                [(Problem, "serialization")], ref_template="#/components/schemas/{model}"
            )
            document = super().openapi()
            document["components"]["schemas"] |= definitions["$defs"]
        return super().openapi()
