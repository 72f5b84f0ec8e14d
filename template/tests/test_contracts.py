"""What holds for the code as a whole."""

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


def test_every_other_operation_is_for_signed_in_callers(app: FastAPI) -> None:
    operations = {
        (method, path): operation
        for path, methods in app.openapi()["paths"].items()
        for method, operation in methods.items()
    }
    public = {key for key, operation in operations.items() if not operation.get("security")}
    assert public == PUBLIC & operations.keys()


def test_the_document_refers_to_nothing_that_is_missing(app: FastAPI) -> None:
    document = app.openapi()
    named = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert "Problem" in named or "/api/" not in json.dumps(document)
    assert named <= document["components"]["schemas"].keys()
    assert "$defs" not in json.dumps(document)
