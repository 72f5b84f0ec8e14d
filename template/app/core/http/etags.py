"""Conditional requests: whether a caller's copy is the present one (RFC 9110, 13)."""

from app.core.database.models import Record


def etag(row: Record) -> str:
    """The tag of this version of the row, of no other row and no other version."""
    return f'"{row.id.hex}-{row.version}"'


def tag_headers(tag: str) -> dict[str, str]:
    """The headers of a tagged response: it may be kept for its caller, and is asked for anew."""
    return {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Authorization"}


def matches(header: str, tag: str) -> bool:
    """Whether an If-Match or If-None-Match header names the tag."""
    candidates = {candidate.strip().removeprefix("W/") for candidate in header.split(",")}
    return "*" in candidates or tag in candidates
