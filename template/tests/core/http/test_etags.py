"""Matching of ETags with If-Match and If-None-Match headers."""

import pytest

from app.core.http.etags import matches


@pytest.mark.parametrize("header", ['"a-1"', 'W/"a-1"', '"b-1", "a-1"', "*", ' "a-1" '])
def test_a_header_with_the_etag_matches(header: str) -> None:
    assert matches(header, '"a-1"')


@pytest.mark.parametrize("header", ["", '"a-2"', "a-1", '"a-1', "'a-1'", ","])
def test_a_header_without_the_etag_does_not_match(header: str) -> None:
    assert not matches(header, '"a-1"')
