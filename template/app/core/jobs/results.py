"""Results and progress of jobs, with few imports for a fast start of processes."""

from collections.abc import Mapping
from json import dumps
from typing import Any


class ResultTooLarge(Exception):
    """Raised when a result is too large to be stored."""


def encode(result: Mapping[str, Any], max_bytes: int) -> str:
    """Return the result as JSON; raises ResultTooLarge, TypeError, ValueError."""
    text = dumps(result, allow_nan=False)
    if len(text) > max_bytes:
        raise ResultTooLarge(f"{len(text)} bytes: return less, or raise JOB_RESULT_MAX_BYTES")
    return text


def fraction(progress: float) -> float:
    """Return the progress as a number between 0 and 1; 0 for NaN."""
    return min(1.0, max(0.0, float(progress)))
