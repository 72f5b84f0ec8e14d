"""What a job reports and gives back, wherever it runs: little is imported here."""

from collections.abc import Mapping
from json import dumps
from typing import Any


class ResultTooLarge(Exception):
    """A result that is too large to be kept."""


def encode(result: Mapping[str, Any], max_bytes: int) -> str:
    """The result as JSON; raises ResultTooLarge, TypeError, ValueError."""
    text = dumps(result, allow_nan=False)
    if len(text) > max_bytes:
        raise ResultTooLarge(f"{len(text)} bytes")
    return text


def fraction(progress: float) -> float:
    """How much is done, between 0 and 1; 0 if that is no number."""
    return min(1.0, max(0.0, float(progress)))
