from __future__ import annotations

import base64
import math
import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.records import Sketch
from pytest_gradcheck.serialize import packed, unpacked
from pytest_gradcheck.serialize.packing import (
    packed_coarse,
    packed_near,
    unpacked_coarse,
    unpacked_near,
)
from tests.measurements import LARGEST, sketch, sketches, twins

ANY = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Sketch, Sketch]:
    """Generate a sketch and another one of the same length: equal, near or far."""
    one = draw(st.integers(0, 6).flatmap(sketches))
    return draw(twins(one)), one


def text_of(data: bytes) -> str:
    """Return bytes as base64."""
    return base64.b64encode(data).decode()


def test_numbers_are_little_endian_float64() -> None:
    """Other tools must be able to read packed numbers from this one sentence."""
    assert packed([1.0, -2.5]) == text_of(struct.pack("<2d", 1.0, -2.5))


@given(st.lists(ANY))
def test_packed_numbers_come_back_bit_for_bit(numbers: list[float]) -> None:
    """Packing must lose nothing, not even the sign of a zero."""
    assert repr(list(unpacked(packed(numbers)))) == repr(numbers)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_nan_and_inf_are_never_packed(number: float) -> None:
    """No kind of packing may let a number through that is not finite."""
    with pytest.raises(UsageError, match="cannot be packed"):
        packed([1.0, number])
    with pytest.raises(UsageError, match="cannot be packed"):
        packed_coarse(Sketch(norm=1.0, values=(number,)), 4)
    with pytest.raises(UsageError, match="cannot be packed"):
        packed_near(Sketch(norm=1.0, values=(number,)), sketch(1.0))


@pytest.mark.parametrize(
    "text", ["*", "AAAA", "é", text_of(struct.pack("<d", math.nan)), text_of(bytes(9))]
)
def test_damaged_numbers_are_refused(text: str) -> None:
    """Text that is no base64 of whole finite numbers must be refused."""
    with pytest.raises(UsageError, match="not base64 of finite float64 numbers"):
        unpacked(text)


@settings(deadline=None)
@given(st.lists(ANY, max_size=32), ANY, st.sampled_from([2, 3, 4]))
@example([5e-324, -5e-324], 0.0, 4)
@example([1.7976931348623157e308, -1.7976931348623157e308, 1.0], 1.0, 4)
@example([0.9999999999, 0.3], 1.0, 3)
def test_a_coarse_sketch_is_close_and_stays_as_it_is(
    values: list[float], norm: float, width: int
) -> None:
    """Values must be kept to some bytes of the largest, the norm exactly; then nothing moves."""
    whole = Sketch(norm=norm, values=tuple(values))
    text = packed_coarse(whole, width)
    back = unpacked_coarse(text)
    assert back.norm == norm
    step = max(map(abs, values), default=0.0) * 2.0 ** (2 - 8 * width)
    step = max(step, 5e-324)
    assert all(abs(a - b) <= step for a, b in zip(back.values, values, strict=True))
    assert packed_coarse(back, width) == text


@pytest.mark.parametrize(
    "text",
    [
        text_of(bytes(7)),
        text_of(bytes(8)),
        text_of(bytes(13)),
        text_of(bytes(8) + struct.pack("<bh", 5, 1)),
        text_of(bytes(8) + struct.pack("<bh", 4, 1025)),
        text_of(bytes(8) + struct.pack("<bh", 4, -1044)),
        text_of(bytes(8) + struct.pack("<bhi", 4, 1024, -(2**31))),
    ],
)
def test_a_damaged_coarse_sketch_is_refused(text: str) -> None:
    """Text that `packed_coarse` never returns must be refused."""
    with pytest.raises(UsageError, match="not a packed sketch"):
        unpacked_coarse(text)


@settings(deadline=None)
@given(pairs())
@example((Sketch(norm=1.0, values=(1.0 + 1e-12,)), sketch(1.0)))
@example((Sketch(norm=1.0, values=(4.0,)), sketch(1.0)))
@example((Sketch(norm=1.0, values=(8.0,)), sketch(1.0)))
@example((Sketch(norm=1.0, values=(7.9,)), sketch(1.0)))
@example((Sketch(norm=1.0, values=(7.5,)), sketch(0.99)))
@example((Sketch(norm=1.0, values=(1e-320,)), sketch(2e-320)))
@example((Sketch(norm=1.0, values=(1.7e308,)), sketch(1.6e308)))
@example((Sketch(norm=1.0, values=(LARGEST,)), sketch(0.0)))
def test_a_near_sketch_is_close_and_stays_as_it_is(pair: tuple[Sketch, Sketch]) -> None:
    """A sketch must be kept to 2**-22 of the other's largest value, or exactly if it is far."""
    one, other = pair
    text = packed_near(one, other)
    back = unpacked_near(text, other)
    assert back.norm == one.norm
    step = max(map(abs, other.values), default=0.0) * 2.0**-21
    assert all(abs(a - b) <= step for a, b in zip(back.values, one.values, strict=True))
    assert packed_near(back, other) == text


def test_a_sketch_that_equals_the_other_takes_no_room() -> None:
    """A gradient that is its own float64 twin must cost its norm and nothing more."""
    one = sketch(*(1.0 / i for i in range(1, 33)))
    assert len(packed_near(one, one)) == len(packed([one.norm]))
    assert unpacked_near(packed_near(one, one), one) == one


@pytest.mark.parametrize(("noise", "width"), [(1e-6, 1), (1e-5, 2), (1e-2, 2), (0.3, 3), (9.0, 8)])
def test_the_further_a_sketch_the_more_room_it_takes(noise: float, width: int) -> None:
    """Two tiers of a large model must fit where one did; gradients far apart must not lose."""
    one = sketch(*(1.0 / i for i in range(1, 33)))
    near = sketch(*(v * (1 + noise) for v in one.values))
    assert len(base64.b64decode(packed_near(near, one))) in {8 + width * 32, 9 + width * 32}


def test_sketches_of_different_lengths_are_refused() -> None:
    """Only sketches of arrays of one shape can be packed beside each other."""
    with pytest.raises(UsageError, match="sketches of 1 and 2 values"):
        packed_near(sketch(1.0), sketch(1.0, 2.0))


@pytest.mark.parametrize(
    ("length", "other"),
    [
        (7, sketch(1.0)),
        (8 + 6, sketch(1.0)),
        (8 + 4, sketch(1.0, 2.0)),
        (8 + 2, sketch()),
        (8 + 1, sketch(0.0)),
    ],
)
def test_a_damaged_near_sketch_is_refused(length: int, other: Sketch) -> None:
    """Text that `packed_near` never returns for the other sketch must be refused."""
    with pytest.raises(UsageError, match="not a packed sketch"):
        unpacked_near(text_of(bytes(length)), other)
