"""Which copy a caller holds."""

import pytest

from app.core.http.etags import matches


@pytest.mark.parametrize("header", ['"a-1"', 'W/"a-1"', '"b-1", "a-1"', "*", ' "a-1" '])
def test_a_header_that_names_the_tag(header: str) -> None:
    assert matches(header, '"a-1"')


@pytest.mark.parametrize("header", ["", '"a-2"', "a-1", '"a-1', "'a-1'", ","])
def test_a_header_that_does_not(header: str) -> None:
    assert not matches(header, '"a-1"')
