"""Base classes of requests and responses, and rules for text."""

import re
from typing import Any, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, validate_email

Item = TypeVar("Item")

# Control characters (with NUL and line breaks), text direction marks, lone surrogates.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class Schema(BaseModel):
    """Base of responses, read from the attributes of a row."""

    model_config = ConfigDict(from_attributes=True)


class Input(BaseModel):
    """Base of request bodies; unknown fields are refused, not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Page(Schema, Generic[Item]):
    """One page of items, and the cursor of the next page if there is one."""

    items: list[Item]
    next_cursor: str | None


def omitted() -> Any:
    """Return None as the value of an omitted field that may not be null in a request."""
    return None


def normalize_email(address: str) -> str:
    """Return the form of an e-mail address that is stored and compared."""
    try:
        return validate_email(address)[1].lower()
    except ValueError:
        return address.lower()


def _printable(text: str) -> str:
    if _UNPRINTABLE.search(text):
        raise ValueError("must be one line, without control characters")
    return text


Printable = AfterValidator(_printable)
