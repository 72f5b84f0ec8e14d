"""ETags and conditional requests (RFC 9110, section 13)."""

from app.core.database.models import Record


def etag(row: Record) -> str:
    """Return the ETag of this version of this row."""
    return f'"{row.id.hex}-{row.version}"'


def tag_headers(tag: str) -> dict[str, str]:
    """Return the headers of a response that only its client may store, and must revalidate."""
    return {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Authorization"}


def matches(header: str, tag: str) -> bool:
    """Return whether an If-Match or If-None-Match header names the tag."""
    candidates = {candidate.strip().removeprefix("W/") for candidate in header.split(",")}
    return "*" in candidates or tag in candidates
