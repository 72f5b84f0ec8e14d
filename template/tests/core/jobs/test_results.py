"""What a job may report and give back."""

from math import inf, nan
from typing import Any

import pytest

from app.core.jobs.results import ResultTooLarge, encode, fraction


def test_a_result_is_json() -> None:
    assert encode({"mean": 1.5}, 100) == '{"mean": 1.5}'


@pytest.mark.parametrize("value", [nan, inf, object(), lambda: None, {1}])
def test_another_result_is_refused(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        encode({"mean": value}, 100)


def test_a_result_is_bounded() -> None:
    with pytest.raises(ResultTooLarge):
        encode({"text": "x" * 100}, 100)


@pytest.mark.parametrize(
    ("reported", "kept"), [(0.5, 0.5), (1, 1.0), (1.5, 1.0), (-1, 0.0), (nan, 0.0), (inf, 1.0)]
)
def test_progress_is_a_fraction(reported: float, kept: float) -> None:
    assert fraction(reported) == kept
