"""The sketch: fixed for ever, linear, and good enough to estimate distances from."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.records import Sketch
from pytest_gradcheck.stats.sketch import (
    LANES,
    ROWS,
    Fold,
    cosine,
    distance,
    signs,
    sketch,
    total_cosine,
)

if TYPE_CHECKING:
    from collections.abc import Callable

MASK = (1 << 64) - 1
FIRST = [-8012.226937624770, -41387.313456239215, 26463.117732515944]
SIZES = st.sampled_from([0, 1, 31, 32, 33, 100, LANES - 1, LANES, LANES + 1, 9000])

Vector = NDArray[np.float64]


def word(key: int, index: int) -> int:
    """Return one hash word, written as the definition says it, in plain integers."""
    z = (key + (index + 1) * 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def sign(key: int, index: int) -> int:
    """Return one sign, by definition."""
    return 1 - 2 * (word(key, index // 64) >> (index % 64) & 1)


def row_key(row: int) -> int:
    """Return the key of one row, by definition."""
    return 1 ^ ((row + 1) * 0xD1342543DE82EF95 & MASK)


def by_definition(values: Vector, rows: int) -> list[float]:
    """Return the first values of a sketch with one Python operation after the other."""
    lanes = [0.0] * LANES
    for i, value in enumerate(values.tolist()):
        lanes[i % LANES] += value * (sign(1, i) if values.size > LANES else 1)
    used = lanes[: min(values.size, LANES)]
    return [
        math.fsum(sign(row_key(j), i) * v for i, v in enumerate(used)) / math.sqrt(32)
        for j in range(rows)
    ]


def vector(size: int, seed: int = 0) -> Vector:
    """Return a random vector."""
    return np.random.default_rng(seed).standard_normal(size)


def near(values: Sketch) -> object:
    """Return what a sketch must equal but for the rounding of its sums."""
    return pytest.approx(values.values, rel=1e-12, abs=1e-11 * max(values.norm, 1e-300))


def test_the_first_words_of_key_one_are_the_published_ones() -> None:
    """The signs must be the bits of the words that were written down once."""
    words = [0x910A2DEC89025CC1, 0xBEEB8DA1658EEC67, 0xF893A2EEFB32555E]
    bits = [1 - 2 * (w >> i & 1) for w in words for i in range(64)]
    assert signs(0, 192).tolist() == bits


def test_the_first_row_has_the_published_key() -> None:
    """Row 0 must have the key 0xd1342543de82ef94, whose first word is published."""
    assert row_key(0) == 0xD1342543DE82EF94
    bits = [1 - 2 * (0xD5B37C315D75FA51 >> i & 1) for i in range(64)]
    assert signs(0, 64, row_key(0)).tolist() == bits


def test_the_sketch_of_one_to_ten_thousand_is_the_published_one() -> None:
    """A sketch must begin with the published values for ever."""
    assert sketch(np.arange(1.0, 10001.0)).values[:3] == pytest.approx(FIRST, rel=1e-14)


@pytest.mark.parametrize("size", [1, 64, 777, 4096, 4093, 20000])
def test_the_published_sketch_does_not_depend_on_chunks(size: int) -> None:
    """The published values must come out of chunks of any size, last chunk first."""
    values = np.arange(1.0, 10001.0)
    fold = Fold(values.size)
    for start in reversed(range(0, values.size, size)):
        fold.add(start, values[start : start + size])
    found = fold.finish(1.0)
    assert found is not None
    assert found.values[:3] == pytest.approx(FIRST, rel=1e-12)


@pytest.mark.parametrize("start", [0, 1, 63, 64, 65, 4093, 10**12 + 7])
def test_signs_are_random_access(start: int) -> None:
    """A run of signs must be the same wherever one begins to read."""
    assert signs(start, 130).tolist() == [sign(1, start + i) for i in range(130)]


@pytest.mark.parametrize("size", [33, 100, LANES, LANES + 1, 10000])
def test_the_sketch_is_its_definition(size: int) -> None:
    """The vectorised sums must be those of the definition, below and above 4,093 elements."""
    values = vector(size)
    assert sketch(values).values[:2] == pytest.approx(by_definition(values, 2), rel=1e-9)


@pytest.mark.parametrize("size", [0, 1, 17, 32])
def test_up_to_32_values_are_kept_themselves(size: int) -> None:
    """A small array must be its own sketch, bit for bit."""
    values = vector(size)
    assert sketch(values) == Sketch(norm=float(np.linalg.norm(values)), values=tuple(values))


def test_a_larger_array_has_32_values() -> None:
    """The sketch must not grow with the array."""
    assert len(sketch(vector(33)).values) == len(sketch(vector(20000)).values) == ROWS


def test_the_order_is_the_logical_one() -> None:
    """An array must have the same sketch whatever its memory layout."""
    values = vector(5000).reshape(50, 100)
    assert sketch(np.asfortranarray(values)) == sketch(values)


@given(size=SIZES, seeds=st.tuples(st.integers(0, 99), st.integers(100, 199)), a=st.floats(-9, 9))
@settings(max_examples=40, deadline=None)
def test_the_sketch_is_linear(size: int, seeds: tuple[int, int], a: float) -> None:
    """The sketch of a sum must be the sum of the sketches."""
    x, y = vector(size, seeds[0]), vector(size, seeds[1])
    both = [a * p + q for p, q in zip(sketch(x).values, sketch(y).values, strict=True)]
    assert both == near(replace(sketch(a * x + y), norm=10.0 * math.sqrt(size + 1)))


@given(size=SIZES, data=st.data())
@settings(max_examples=40, deadline=None)
def test_chunks_may_come_in_any_size_and_order(size: int, data: st.DataObject) -> None:
    """Folding parts of an array, wherever cut and in any order, must give the same sketch."""
    values = vector(size)
    cuts = sorted(data.draw(st.sets(st.integers(0, size), max_size=6)) | {0, size})
    pieces = data.draw(st.permutations(list(itertools.pairwise(cuts))))
    fold = Fold(size)
    for start, stop in pieces:
        fold.add(start, values[start:stop])
    found, whole = fold.finish(0.0), sketch(values)
    assert found is not None
    assert found.values == near(whole)


def test_what_is_not_folded_counts_as_zero() -> None:
    """A sparse array must have the sketch of the same array with its zeros written out."""
    values = np.zeros(10000)
    values[9000:9100] = vector(100)
    fold = Fold(values.size)
    fold.add(9000, values[9000:9100])
    found = fold.finish(0.0)
    assert found is not None
    assert found.values == near(sketch(values))


@given(size=SIZES, factor=st.floats(-100, 100))
@settings(max_examples=30, deadline=None)
def test_the_distance_of_a_rescaled_array_is_exact(size: int, factor: float) -> None:
    """A change of scale upwards must be measured by the norms alone, without an estimate."""
    one = sketch(vector(size))
    other = sketch(factor * vector(size))
    wanted = abs(factor - 1.0) * one.norm
    if factor >= 0:
        assert distance(one, other) == pytest.approx(wanted, abs=1e-12 * max(one.norm, 1.0))
    else:
        assert 0.5 * wanted <= distance(one, other) <= 1.7 * wanted + 1e-300


@given(size=st.integers(0, 32), seeds=st.tuples(st.integers(0, 99), st.integers(0, 99)))
@settings(max_examples=50, deadline=None)
def test_the_distance_of_small_arrays_is_exact(size: int, seeds: tuple[int, int]) -> None:
    """Up to 32 elements nothing must be estimated."""
    x, y = (vector(size, s) for s in seeds)
    wanted = float(np.linalg.norm(x - y))
    assert distance(sketch(x), sketch(y)) == pytest.approx(wanted, abs=1e-14 * (size + 1))


def one_element(x: Vector) -> Vector:
    """Change one element."""
    y = x.copy()
    y[3, 5] += 1.0
    return y


def two_swapped(x: Vector) -> Vector:
    """Swap two elements."""
    y = x.copy()
    y[0, 0], y[9, 9] = x[9, 9], x[0, 0]
    return y


def a_row_flipped(x: Vector) -> Vector:
    """Flip the sign of a row."""
    y = x.copy()
    y[4] *= -1.0
    return y


def a_column_flipped(x: Vector) -> Vector:
    """Flip the sign of a column."""
    y = x.copy()
    y[:, 4] *= -1.0
    return y


def rows_permuted(x: Vector) -> Vector:
    """Turn the rows around."""
    return x[::-1].copy()


def a_common_shift(x: Vector) -> Vector:
    """Add the same to every element."""
    return x + 0.1


def a_turn(x: Vector) -> Vector:
    """Turn in a random direction by a millionth."""
    return x + 1e-6 * vector(x.size, 77).reshape(x.shape)


CHANGES = [
    one_element,
    two_swapped,
    a_row_flipped,
    a_column_flipped,
    rows_permuted,
    a_common_shift,
    a_turn,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
@pytest.mark.parametrize("shape", [(30, 40), (64, 4096), (128, 64)], ids=str)
def test_the_distance_of_large_arrays_is_estimated(
    shape: tuple[int, int], change: Callable[[Vector], Vector]
) -> None:
    """The estimate must lie within a factor of two of the true distance, whatever changed."""
    x = vector(shape[0] * shape[1]).reshape(shape)
    y = change(x)
    wanted = float(np.linalg.norm(x - y))
    assert 0.5 * wanted < distance(sketch(x), sketch(y)) < 2.0 * wanted


@given(size=SIZES, seeds=st.tuples(st.integers(0, 20), st.integers(0, 20)))
@settings(max_examples=30, deadline=None)
def test_the_distance_is_symmetric_and_zero_only_for_equals(
    size: int, seeds: tuple[int, int]
) -> None:
    """Order must not matter, equal arrays must be at distance 0, different ones must not."""
    a, b = (sketch(vector(size, s)) for s in seeds)
    assert distance(a, b) == pytest.approx(distance(b, a), rel=1e-12)
    assert (distance(a, b) == 0.0) is (size == 0 or seeds[0] == seeds[1])


@pytest.mark.parametrize("scale", [1e200, 1e-200, 1e30])
def test_extreme_numbers_neither_overflow_nor_vanish(scale: float) -> None:
    """The distance of huge and of tiny arrays must be that of ordinary ones, rescaled."""
    x, y = vector(5000, 0), vector(5000, 1)
    ordinary = distance(sketch(x), sketch(y))
    fold_x, fold_y = Fold(5000), Fold(5000)
    fold_x.add(0, scale * x)
    fold_y.add(0, scale * y)
    far_x = fold_x.finish(scale * float(np.linalg.norm(x)))
    far_y = fold_y.finish(scale * float(np.linalg.norm(y)))
    assert far_x is not None
    assert far_y is not None
    assert distance(far_x, far_y) == pytest.approx(scale * ordinary, rel=1e-9)
    assert cosine(far_x, far_y) == pytest.approx(cosine(sketch(x), sketch(y)), rel=1e-9)


def test_the_distance_to_zero_is_the_norm() -> None:
    """An array that is zero must be as far away as the other one is long, exactly."""
    x = sketch(vector(5000))
    assert distance(x, sketch(np.zeros(5000))) == x.norm


def test_arrays_of_other_sizes_cannot_be_compared() -> None:
    """Sketches of different lengths must be refused with both lengths."""
    with pytest.raises(UsageError, match="of 3 and 4 values"):
        distance(sketch(np.ones(3)), sketch(np.ones(4)))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("size", [3, 100, 5000])
def test_what_is_not_finite_has_no_sketch(bad: float, size: int) -> None:
    """NaN and Inf must be refused, not folded into all 32 values."""
    values = np.ones(size)
    values[1] = bad
    with pytest.raises(UsageError, match="NaN or Inf"):
        sketch(values)


def test_a_norm_beyond_float64_leaves_no_sketch() -> None:
    """A fold must return nothing where the norm that belongs to it has overflowed."""
    fold = Fold(2)
    fold.add(0, np.array([1e308, 1e308]))
    assert fold.finish(math.inf) is None


@pytest.mark.parametrize("size", [5, 5000])
def test_the_cosine_with_itself_and_its_negative_is_exact(size: int) -> None:
    """Cosines of 1 and -1 must come out as such for small arrays, and 1 for all."""
    x = vector(size)
    assert cosine(sketch(x), sketch(x)) == 1.0
    assert cosine(sketch(x), sketch(-x)) == pytest.approx(-1.0, abs=1e-12 if size < 33 else 0.6)


def test_the_cosine_of_a_small_turn_is_sharp() -> None:
    """One minus the cosine must be right within a factor of two even where it is 1e-12."""
    x = vector(5000)
    y = x + 1e-6 * vector(5000, 1)
    turned = 0.5 * (float(np.linalg.norm(x - y)) / float(np.linalg.norm(x))) ** 2
    assert 0.4 * turned < 1.0 - cosine(sketch(x), sketch(y)) < 2.5 * turned


def test_the_cosine_with_zero_is_undefined() -> None:
    """A zero array must have no direction."""
    assert math.isnan(cosine(sketch(np.zeros(3)), sketch(np.ones(3))))


def test_the_cosine_of_collections_is_that_of_their_concatenation() -> None:
    """Pairs of small arrays must add up to the cosine of the long vectors they make."""
    x, y = vector(30, 0), vector(30, 1)
    pairs = [(sketch(x[:10]), sketch(y[:10])), (sketch(x[10:]), sketch(y[10:]))]
    wanted = float(x @ y / np.linalg.norm(x) / np.linalg.norm(y))
    assert total_cosine(pairs) == pytest.approx(wanted, abs=1e-12)


def test_the_cosine_never_leaves_its_range() -> None:
    """An over-estimated angle must stop at -1."""
    found = [cosine(sketch(vector(5000, s)), sketch(-vector(5000, s))) for s in range(20)]
    assert min(found) >= -1.0
