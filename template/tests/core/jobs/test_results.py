"""Results and progress of jobs."""

from math import inf, nan
from typing import Any

import pytest

from app.core.jobs.results import ResultTooLarge, encode, fraction


def test_result_is_encoded_as_json() -> None:
    assert encode({"mean": 1.5}, 100) == '{"mean": 1.5}'


@pytest.mark.parametrize("value", [nan, inf, object(), lambda: None, {1}])
def test_result_that_is_not_json_is_refused(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        encode({"mean": value}, 100)


def test_large_result_is_refused() -> None:
    with pytest.raises(ResultTooLarge):
        encode({"text": "x" * 100}, 100)


@pytest.mark.parametrize(
    ("reported", "stored"), [(0.5, 0.5), (1, 1.0), (1.5, 1.0), (-1, 0.0), (nan, 0.0), (inf, 1.0)]
)
def test_progress_is_between_0_and_1(reported: float, stored: float) -> None:
    assert fraction(reported) == stored
