"""Contracts of the whole API: authentication, and the OpenAPI document."""

import json
import re

from fastapi import FastAPI

PUBLIC = {
    ("get", "/livez"),
    ("get", "/readyz"),
    ("post", "/api/v1/auth/token"),
    ("post", "/api/v1/users"),
    # Add yours below.
}


def test_all_operations_except_public_ones_require_sign_in(app: FastAPI) -> None:
    operations = {
        (method, path): operation
        for path, methods in app.openapi()["paths"].items()
        for method, operation in methods.items()
    }
    public = {key for key, operation in operations.items() if not operation.get("security")}
    assert public == PUBLIC & operations.keys()


def test_openapi_defines_every_referenced_schema(app: FastAPI) -> None:
    document = app.openapi()
    named = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert "Problem" in named or "/api/" not in json.dumps(document)
    assert named <= document["components"]["schemas"].keys()
    assert "$defs" not in json.dumps(document)
