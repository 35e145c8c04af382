"""Data in the page: few digits, columns, deflated."""

from __future__ import annotations

import base64
import json
import math
import zlib
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_gradcheck.reporters.html.packing import column, packed, rounded, texts


def unpacked(text: str) -> Any:
    """Return packed data as the page's script reads it."""
    return json.loads(zlib.decompress(base64.b64decode(text)))


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1.0, 1), (math.nan, "nan"), (-math.inf, "-inf"), (None, None), (1 / 3, 0.333), (7, 7)],
)
def test_numbers_are_short_and_never_break_json(value: float | None, expected: object) -> None:
    """Every number must survive JSON, at the digits that are shown."""
    assert unpacked(packed(rounded(value, 3))) == expected


def test_a_column_of_equal_numbers_is_one_number() -> None:
    """What is the same for all must be said once."""
    assert unpacked(packed(column(texts([0.0, 0.0], 3)))) == 0
    assert unpacked(packed(column(texts([1.23456, math.nan], 3)))) == [1.23, "nan"]
    assert unpacked(packed(column(texts([], 3)))) == []


@example([1.7976931348623157e308, None])
@given(st.lists(st.floats() | st.none() | st.integers(-(2**40), 2**40)))
def test_a_column_holds_each_number_at_its_digits(values: list[float | None]) -> None:
    """A column must be, number by number, what one number would be."""
    expected = [unpacked(packed(rounded(one, 3))) for one in values]
    found = unpacked(packed({"a": column(texts(values, 3)), "b": 2**70}))
    assert found["b"] == 2**70
    numbers = found["a"] if isinstance(found["a"], list) else [found["a"]] * len(values)
    assert numbers == expected
