"""The sketch: fixed for ever, linear, and good enough to estimate distances from."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.stats.fold import Fold
from pytest_gradcheck.stats.project import finished
from pytest_gradcheck.stats.signs import LANES, ROWS, signs
from pytest_gradcheck.stats.sketch import cosine, distance, sketch, total_cosine
from pytest_gradcheck.stats.whole import lanes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_gradcheck.records import Sketch

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


def by_definition(values: Vector, rows: int) -> tuple[float, list[float]]:
    """Return norm and first values of a sketch, in whole numbers of Python alone."""
    listed = values.tolist()
    e = math.frexp(max(map(abs, listed)))[1]
    steps = [round(Fraction(v) * Fraction(2) ** (50 - e)) for v in listed]
    square = sum(round(Fraction(v * v) * Fraction(2) ** (46 - 2 * e)) for v in listed)
    primes = (4093, 4091, 4079, 4073)
    lanes = steps
    if len(steps) > LANES:
        count = next((p for p in primes if len(steps) % p), primes[-1])
        lanes = [0] * count
        for i, step in enumerate(steps):
            lanes[i % count] += sign(1, i) * step
    sums = [sum(sign(row_key(j), i) * v for i, v in enumerate(lanes)) for j in range(rows)]
    norm = math.sqrt(float(square)) * 2.0 ** (e - 23)
    return norm, [float(s) * 2.0 ** (e - 50) / math.sqrt(32) for s in sums]


def folded(values: Vector, pieces: Iterable[tuple[int, int]]) -> Sketch | None:
    """Return the sketch of an array from pieces of it, each begin and end."""
    fold = Fold(values.size, float(np.abs(values).max(initial=0.0)))
    for start, stop in pieces:
        fold.add(start, values[start:stop])
    return finished([fold])[0]


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
    """A sketch must begin with the published values for ever, bit for bit."""
    found = sketch(np.arange(1.0, 10001.0))
    assert (found.norm, list(found.values[:3])) == (577393.5702794065, FIRST)


@pytest.mark.parametrize("size", [1, 64, 777, 4096, 4093, 20000])
def test_the_published_sketch_does_not_depend_on_chunks(size: int) -> None:
    """The published values must come out of chunks of any size, last chunk first."""
    values = np.arange(1.0, 10001.0)
    starts = reversed(range(0, values.size, size))
    found = folded(values, [(start, min(start + size, values.size)) for start in starts])
    assert found == sketch(values)


@pytest.mark.parametrize("start", [0, 1, 63, 64, 65, 4093, 10**12 + 7])
def test_signs_are_random_access(start: int) -> None:
    """A run of signs must be the same wherever one begins to read."""
    assert signs(start, 130).tolist() == [sign(1, start + i) for i in range(130)]


@pytest.mark.parametrize("size", [33, 100, LANES, LANES + 1, 2 * LANES, 10000])
@pytest.mark.parametrize("spread", [0.0, 8.0])
def test_the_sketch_is_its_definition(size: int, spread: float) -> None:
    """The vectorised sums must be those of the definition, to the last bit."""
    values = vector(size) * np.exp(spread * vector(size, 1))
    norm, first = by_definition(values, 2)
    found = sketch(values)
    assert (found.norm, list(found.values[:2])) == (norm, first)


@pytest.mark.parametrize("size", [5, 33, 5000])
def test_the_norm_is_that_of_the_array(size: int) -> None:
    """Rounding squares to steps must leave the norm right to thirteen digits."""
    values = vector(size)
    assert sketch(values).norm == pytest.approx(float(np.linalg.norm(values)), rel=1e-13)


@pytest.mark.parametrize("size", [0, 1, 17, 32])
def test_up_to_32_values_are_kept_themselves(size: int) -> None:
    """A small array must be its own sketch, bit for bit."""
    values = vector(size)
    assert sketch(values).values == tuple(values)


def test_the_norm_of_one_number_is_its_size() -> None:
    """The norm of up to 32 numbers must be rounded once."""
    assert [sketch(np.array([v])).norm for v in (0.1, -1e-200, 5e-324)] == [0.1, 1e-200, 5e-324]


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
@settings(max_examples=60, deadline=None)
def test_chunks_may_come_in_any_size_and_order(size: int, data: st.DataObject) -> None:
    """Folding parts of an array, wherever cut and in any order, must give the same bits."""
    values = np.exp(9.0 * vector(size, 1)) * vector(size)
    cuts = sorted(data.draw(st.sets(st.integers(0, size), max_size=6)) | {0, size})
    pieces = data.draw(st.permutations(list(itertools.pairwise(cuts))))
    assert folded(values, pieces) == sketch(values)


@given(size=SIZES, data=st.data())
@settings(max_examples=40, deadline=None)
def test_shards_add_up_to_the_same_bits(size: int, data: st.DataObject) -> None:
    """Shards folded apart, split anywhere and added in any order, must make the same sketch."""
    values = np.exp(9.0 * vector(size, 1)) * vector(size)
    peak = float(np.abs(values).max(initial=0.0))
    cuts = sorted(data.draw(st.sets(st.integers(0, size), max_size=4)) | {0, size})
    shards = []
    for start, stop in itertools.pairwise(cuts):
        shards.append(Fold(size, peak))
        shards[-1].add(start, values[start:stop])
    whole = Fold(size, peak)
    for shard in data.draw(st.permutations(shards)):
        whole.join(shard)
    assert finished([whole]) == [sketch(values)]


@pytest.mark.parametrize("size", [7, 100, 9000])
def test_what_is_added_after_a_join_counts(size: int) -> None:
    """A fold must go on where it was after another one was added to it."""
    values = vector(size)
    peak = float(np.abs(values).max())
    whole, shard = Fold(size, peak), Fold(size, peak)
    whole.add(0, values[:2])
    shard.add(2, values[2:4])
    whole.join(shard)
    whole.add(4, values[4:])
    assert finished([whole]) == [sketch(values)]


@pytest.mark.parametrize("other", [(9000, 2.0), (9001, 1.0)])
def test_parts_of_other_arrays_are_refused(other: tuple[int, float]) -> None:
    """A part that was folded in other steps, or of an array of another size, must be refused."""
    with pytest.raises(UsageError, match="of the whole array"):
        Fold(9000, 1.0).join(Fold(*other))


@given(size=SIZES)
@settings(max_examples=20, deadline=None)
def test_the_container_does_not_matter(size: int) -> None:
    """The same numbers as float16, float32 and float64 must have the same sketch."""
    values = vector(size).astype(np.float16)
    assert sketch(values) == sketch(values.astype(np.float32)) == sketch(values.astype(np.float64))
    narrow = Fold(size, float(np.abs(values).max(initial=0.0)))
    narrow.add(0, values.astype(np.float32))
    assert finished([narrow]) == [sketch(values)]


def test_lanes_do_not_overflow() -> None:
    """Equal elements of full size must add up exactly over thousands of rows."""
    ones = np.ones(LANES * 512)
    size = ones.size * 20
    fold = Fold(size, 1.0)
    for i in range(20):
        fold.add(i * ones.size, ones)
    assert fold.norm() == pytest.approx(math.sqrt(size), rel=1e-13)
    high, low = fold.halves()
    rows = [int(h) * 2**32 + int(v) for h, v in zip(high[:3], low[:3], strict=True)]
    count = lanes_of(size)
    wanted = [sum(int(signs(i, 1)[0]) for i in range(lane, size, count)) for lane in range(3)]
    assert rows == [w * 2**49 for w in wanted]


@pytest.mark.parametrize("width", [4093, 2 * 4093, 4091, 5000])
def test_a_change_within_one_column_is_seen(width: int) -> None:
    """No column of a matrix may fall into a single lane, whatever its width."""
    x = vector(64 * width).reshape(64, width)
    y = x.copy()
    y[:, 7] *= -1.0
    wanted = float(np.linalg.norm(x - y))
    assert len({i % lanes_of(x.size) for i in range(7, x.size, width)}) == 64
    assert 0.5 * wanted < distance(sketch(x), sketch(y)) < 2.0 * wanted


def test_what_is_not_folded_counts_as_zero() -> None:
    """A sparse array must have the sketch of the same array with its zeros written out."""
    values = np.zeros(10000)
    values[9000:9100] = vector(100)
    assert folded(values, [(9000, 9100)]) == sketch(values)


@given(size=SIZES, factor=st.floats(-100, 100))
@settings(max_examples=30, deadline=None)
def test_the_distance_of_a_rescaled_array_is_exact(size: int, factor: float) -> None:
    """A change of scale upwards must be measured by the norms alone, without an estimate."""
    one = sketch(vector(size))
    other = sketch(factor * vector(size))
    wanted = abs(factor - 1.0) * one.norm
    if factor >= 0:
        # Both norms are exact to some 1e-14, and they are what is left of each other.
        close = 1e-13 * max(one.norm, other.norm, 1.0)
        assert distance(one, other) == pytest.approx(wanted, abs=max(close, 1e-12 * one.norm))
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


@pytest.mark.parametrize("scale", [2.0**900, 2.0**-900, 2.0**100])
@pytest.mark.parametrize("size", [5, 50, 5000])
def test_extreme_numbers_neither_overflow_nor_vanish(scale: float, size: int) -> None:
    """The sketch of huge and of tiny arrays must be that of ordinary ones, rescaled exactly."""
    x, found = sketch(vector(size)), sketch(scale * vector(size))
    assert found.values == tuple(scale * v for v in x.values)
    assert found.norm == scale * x.norm


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
    values = np.full(2, 1.6e308)
    assert folded(values, [(0, 2)]) is None
    assert folded(np.full(5000, 1.6e308), [(0, 5000)]) is None


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
