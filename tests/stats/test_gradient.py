"""Gradients become numbers: the numbers are numpy's, whatever the type, size and chunks."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.point import NumpyView
from pytest_gradcheck.records import (
    POINT_STORED,
    ArrayView,
    Element,
    Evaluation,
    ParameterStats,
    Sketch,
)
from pytest_gradcheck.stats.gradient import (
    gradient_stats,
    parameter_stats,
    point_stats,
)
from pytest_gradcheck.stats.sketch import sketch
from tests.objectives import SparseView

if TYPE_CHECKING:
    from collections.abc import Iterator

Array = NDArray[Any]

TINY = sys.float_info.min
FINITE = st.floats(-1e300, 1e300, allow_subnormal=False)


def stats(array: Array, *, top: int = 0, chunk: int = 16372) -> ParameterStats:
    """Return the statistics of a gradient."""
    view = NumpyView(array)
    return parameter_stats("w", view, like=view, top=top, chunk=chunk)


def random(*shape: int, dtype: str = "float64", seed: int = 0) -> Array:
    """Return a random array."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 5), (2, 3, 4), (200, 300)], ids=str)
@pytest.mark.parametrize("chunk", [1000, 16372])
def test_statistics_are_those_of_numpy_in_float64(
    dtype: str, shape: tuple[int, ...], chunk: int
) -> None:
    """Norm, largest element, mean and counts must be numpy's of the widened array."""
    array = random(*shape, dtype=dtype)
    if array.size > 6:
        array.reshape(-1)[::3] = 0.0
    wide, found = array.astype(np.float64), stats(array, chunk=chunk)
    # Squares are rounded to 2**-46 of the largest, so that their sum is the same in any order.
    assert found.norm == pytest.approx(float(np.linalg.norm(wide.reshape(-1))), rel=1e-13)
    assert found.max_abs == np.abs(wide).max()
    assert found.mean == pytest.approx(float(wide.mean()), rel=1e-12, abs=1e-15)
    assert found.rms == pytest.approx(float(np.sqrt(np.mean(wide**2))), rel=1e-13)
    assert (found.zeros, found.nans, found.infs) == (int((wide == 0).sum()), 0, 0)
    assert (found.shape, found.dtype, found.size) == (shape, dtype, wide.size)
    assert found.sketch is not None
    assert found.sketch.norm == found.norm
    assert found.sketch.values == pytest.approx(
        sketch(wide).values, rel=1e-12, abs=1e-11 * found.norm
    )


@pytest.mark.parametrize(
    ("dtype", "size"),
    [
        ("float32", 1e30),
        ("float16", 6e4),
        ("float64", 1e200),
        ("float64", 1e-200),
        ("float32", 1e-40),
    ],
)
@pytest.mark.parametrize("count", [3, 5000])
def test_squares_neither_overflow_nor_vanish(dtype: str, size: float, count: int) -> None:
    """Norms and means of numbers whose squares do not exist must be right."""
    array = np.full(count, size).astype(dtype)
    one, found = float(array[0]), stats(array)
    assert found.norm == pytest.approx(one * math.sqrt(count), rel=1e-12)
    assert found.mean == pytest.approx(one, rel=1e-12)
    assert found.sketch is not None


def test_a_mean_exists_where_the_sum_does_not() -> None:
    """Four times 1e308 must have the mean 1e308, and no sketch: its norm is beyond float64."""
    found = stats(np.full(4, 1e308))
    assert (found.mean, found.max_abs, found.norm) == (1e308, 1e308, math.inf)
    assert found.sketch is None


def test_tiny_chunks_beside_large_ones_are_not_lost() -> None:
    """The smallest numbers must be counted and kept among the largest, each chunk on its scale."""
    array = np.concatenate([np.full(10, 1e-200), np.full(10, 1e200)])
    found = stats(array, top=20, chunk=10)
    assert found.zeros == 0
    assert {e.value for e in found.top} == {1e-200, 1e200}


def test_a_norm_of_ten_to_the_eighth_is_ordinary() -> None:
    """27,025 elements with a norm of 1.5e8 must keep every digit of it."""
    array = random(27025)
    array *= 1.5e8 / np.linalg.norm(array)
    assert stats(array).norm == pytest.approx(1.5e8, rel=1e-14)


@pytest.mark.parametrize("chunk", [1, 4, 100])
def test_what_is_not_finite_is_counted_and_left_out(chunk: int) -> None:
    """NaN and Inf must be counted and located, and the statistics be those of the rest."""
    array = np.array([[3.0, math.nan, 0.0], [math.inf, -4.0, -math.inf]])
    found = stats(array, top=5, chunk=chunk)
    assert (found.nans, found.infs, found.zeros) == (1, 2, 1)
    assert (found.norm, found.max_abs) == (5.0, 4.0)
    assert found.mean == pytest.approx(-1.0 / 6.0)
    assert found.nonfinite == ((0, 1), (1, 0), (1, 2))
    assert [(e.index, e.value) for e in found.top] == [((1, 1), -4.0), ((0, 0), 3.0)]
    assert found.sketch is None
    assert not found.finite


def test_of_many_that_are_not_finite_the_first_five_are_located() -> None:
    """A gradient full of NaN must be counted whole and located five times."""
    found = stats(np.full((10, 10), math.nan), chunk=7)
    assert (found.nans, found.zeros, found.norm, found.max_abs) == (100, 0, 0.0, 0.0)
    assert found.nonfinite == ((0, 0), (0, 1), (0, 2), (0, 3), (0, 4))


def test_half_precision_overflow_shows_as_infinity() -> None:
    """A float16 gradient that overflowed must be counted as Inf, not as a large number."""
    found = stats(np.array([np.inf, 1.0], np.float16))
    assert (found.infs, found.max_abs, found.dtype) == (1, 1.0, "float16")


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 2, 2)])
def test_an_empty_gradient_has_no_statistics(shape: tuple[int, ...]) -> None:
    """A parameter without elements must measure as nothing, without a division by zero."""
    found = stats(np.zeros(shape), top=3)
    assert (found.norm, found.mean, found.rms, found.zero_fraction) == (0.0, 0.0, 0.0, 0.0)
    assert (found.shape, found.top) == (shape, ())
    assert found.sketch == Sketch(norm=0.0, values=())


def test_a_scalar_has_an_empty_index() -> None:
    """The one element of a 0-d parameter must stand at the index ()."""
    assert stats(np.array(-2.0), top=3).top == (Element(index=(), value=-2.0),)


def test_a_complex_gradient_shows_as_pairs() -> None:
    """Real and imaginary parts must stand side by side along a last axis of two."""
    found = stats(np.array([3 + 4j, 0j]), top=2)
    assert (found.shape, found.size, found.dtype) == ((2, 2), 4, "complex128")
    assert (found.norm, found.zeros) == (5.0, 2)
    assert [e.index for e in found.top] == [(0, 1), (0, 0)]


def test_elements_that_no_chunk_covers_are_zero() -> None:
    """A sparse gradient must have the statistics of the same gradient written out."""
    view = SparseView(shape=(20, 500), runs=((3, (1.0, -2.0)), (7000, (0.0, 5.0, 1e-3))))
    found = parameter_stats("w", view, like=view, top=3, chunk=2)
    dense = stats(view.dense(), top=3)
    assert (found.zeros, found.norm, found.mean, found.max_abs, found.top) == (
        dense.zeros,
        dense.norm,
        dense.mean,
        dense.max_abs,
        dense.top,
    )
    assert found.sketch is not None
    assert dense.sketch is not None
    assert found.sketch.values == pytest.approx(dense.sketch.values, rel=1e-12)


def test_a_sparse_gradient_without_runs_is_dead() -> None:
    """A gradient of which nothing is stored must be exactly zero."""
    view = SparseView(shape=(20, 500), runs=())
    found = parameter_stats("w", view, like=view)
    assert (found.zeros, found.dead, found.disconnected) == (10000, True, False)


def test_the_memory_layout_does_not_matter() -> None:
    """A transposed or strided gradient must be read in its logical order."""
    array = random(40, 50)
    wanted = stats(array, top=5)
    assert stats(np.asfortranarray(array), top=5) == wanted
    assert stats(np.repeat(array, 2, axis=1)[:, ::2], top=5) == wanted


def test_a_foreign_byte_order_is_the_same_type() -> None:
    """A big-endian array, as read from some files, must measure as float64."""
    assert stats(np.array([1.0, 2.0], ">f8")) == stats(np.array([1.0, 2.0]))


def test_a_disconnected_parameter_has_its_own_shape_and_type() -> None:
    """Where there is no gradient, shape and dtype must be the parameter's."""
    like = NumpyView(np.ones((2, 3), np.float32))
    found = parameter_stats("w", None, like=like)
    assert found == ParameterStats(name="w", shape=(2, 3), dtype="float32", disconnected=True)
    assert found.dead


@given(
    array=hnp.arrays(np.float64, st.integers(1, 60), elements=st.integers(-4, 4).map(float)),
    top=st.integers(0, 8),
    chunk=st.integers(1, 70),
)
@settings(max_examples=150, deadline=None)
def test_the_largest_elements_are_those_of_a_full_sort(array: Array, top: int, chunk: int) -> None:
    """The top must be by size, then by index, never a zero, whatever the chunks and the ties."""
    flat = array.tolist()
    order = sorted((i for i, v in enumerate(flat) if v), key=lambda i: (-abs(flat[i]), i))[:top]
    wanted = [Element(index=(i,), value=flat[i]) for i in order]
    assert list(stats(array, top=top, chunk=chunk).top) == wanted


@pytest.mark.parametrize("shape", [(20000,), (100, 200)])
def test_the_largest_elements_of_a_large_gradient_are_those_of_numpy(
    shape: tuple[int, ...],
) -> None:
    """Twenty elements must be found among many chunks, with their multi-indices."""
    array = random(*shape) ** 5
    order = np.argsort(-np.abs(array), axis=None)[:20]
    wanted = [tuple(map(int, np.unravel_index(i, shape))) for i in order]
    assert [e.index for e in stats(array, top=20, chunk=999).top] == wanted


def test_the_largest_elements_span_many_orders_of_magnitude() -> None:
    """The top must be filled from small elements where there are few large ones."""
    array = np.array([1e-30, 1e10, 0.0, -1e-12, 1.0])
    found = [e.value for e in stats(array, top=4).top]
    assert found == [1e10, 1.0, -1e-12, 1e-30]


@given(
    array=hnp.arrays(np.float64, st.integers(1, 50), elements=FINITE),
    chunks=st.tuples(st.integers(1, 60), st.integers(1, 60)),
)
@settings(max_examples=100, deadline=None)
def test_statistics_do_not_depend_on_the_chunks(array: Array, chunks: tuple[int, int]) -> None:
    """Counts, extremes and positions must be the same in any chunks, sums but for rounding."""
    a, b = (stats(array, top=4, chunk=c) for c in chunks)
    assert (a.zeros, a.max_abs, a.top) == (b.zeros, b.max_abs, b.top)
    assert a.norm == pytest.approx(b.norm, rel=1e-12)
    assert a.mean == pytest.approx(b.mean, rel=1e-9, abs=1e-12 * a.max_abs)


@given(
    array=hnp.arrays(np.float64, st.integers(1, 50), elements=st.floats(-1e3, 1e3)),
    power=st.integers(-60, 60),
)
@settings(max_examples=100, deadline=None)
def test_scaling_a_gradient_scales_its_norms(array: Array, power: int) -> None:
    """Every statistic of a gradient times a power of two must be multiplied by it, exactly."""
    array[np.abs(array) < 1e-100] = 0.0
    factor = 2.0**power
    one, other = stats(array, top=3), stats(factor * array, top=3)
    assert other.norm == pytest.approx(factor * one.norm, rel=1e-14)
    assert other.max_abs == factor * one.max_abs
    assert other.mean == factor * one.mean
    assert other.zeros == one.zeros
    assert [e.index for e in other.top] == [e.index for e in one.top]


def test_a_gradient_keeps_the_order_of_the_point() -> None:
    """Parameters must stand in the point's order, with the value of the evaluation."""
    point = {"b": NumpyView(np.ones(2)), "a": NumpyView(np.ones(3))}
    grads = {"a": NumpyView(np.array([3.0, 0.0, 0.0])), "b": None}
    found = gradient_stats(Evaluation(value=7.0, grads=grads), point, top=1)
    assert [p.name for p in found.parameters] == ["b", "a"]
    assert (found.value, found.norm, found.components) == (7.0, 3.0, ())
    assert found["b"].disconnected


@pytest.mark.parametrize("size", [3, 5000])
@pytest.mark.parametrize("other", [3, 5000])
def test_equal_elements_count_in_the_order_of_parameters(size: int, other: int) -> None:
    """Of equal elements the first ones must be kept, whatever was reduced first."""
    point = {"a": NumpyView(np.ones(size)), "b": NumpyView(np.ones(other))}
    found = gradient_stats(Evaluation(value=0.0, grads=point), point, top=2)
    assert [e.index for e in found["a"].top] == [(0,), (1,)]
    assert [e.index for e in found["b"].top] == [(0,)]


def test_the_largest_elements_are_those_of_the_whole_gradient() -> None:
    """A parameter must have as many of them as it deserves, and at least its own largest."""
    point = {
        "a": NumpyView(np.array([9.0, 8.0, 7.0])),
        "b": NumpyView(np.full(5000, 1.0)),
        "c": NumpyView(np.zeros(4)),
    }
    found = gradient_stats(Evaluation(value=0.0, grads=point), point, top=2)
    assert [[e.value for e in p.top] for p in found.parameters] == [[9.0, 8.0], [1.0], []]


def test_small_parameters_are_reduced_as_large_ones_are() -> None:
    """Reducing many at once must give what reducing one by one gives."""
    arrays = [random(n, seed=n) * 10.0**n for n in range(1, 40)]
    arrays += [np.array([np.nan, 1.0]), np.full(3, 1e200), np.full(3, 1e-200), np.zeros(2)]
    arrays += [random(3000, seed=i) for i in range(8)]
    point = {f"p{i}": NumpyView(a) for i, a in enumerate(arrays)}
    found = gradient_stats(Evaluation(value=0.0, grads=point), point, top=0)
    for p, array in zip(found.parameters, arrays, strict=True):
        one = stats(array)
        assert (p.shape, p.zeros, p.nans, p.max_abs) == (
            one.shape,
            one.zeros,
            one.nans,
            one.max_abs,
        )
        assert p.norm == pytest.approx(one.norm, rel=1e-14)
        assert p.mean == pytest.approx(one.mean, rel=1e-12, abs=1e-14 * one.max_abs)
        assert (p.sketch is None) is (one.sketch is None)
        if p.sketch and one.sketch:
            assert p.sketch.values == pytest.approx(one.sketch.values, rel=1e-9, abs=1e-12 * p.norm)


def test_a_sparse_gradient_among_small_ones_is_reduced_alone() -> None:
    """A gradient of which only some elements are stored must not be joined with dense ones."""
    sparse = SparseView(shape=(50,), runs=((3, (1.0,)), (40, (2.0,))))
    point: dict[str, ArrayView] = {"a": NumpyView(np.ones(4)), "s": sparse}
    found = gradient_stats(Evaluation(value=0.0, grads=point), point, top=1)
    assert (found["s"].zeros, found["s"].norm) == (48, math.sqrt(5.0))


def test_a_small_gradient_is_shown_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fits into one chunk must not be made twice, what does not must not be kept."""
    shown: list[int] = []

    def chunks(view: SparseView, size: int) -> Iterator[tuple[int, Array]]:
        shown.append(view.size)
        yield 0, np.ones(size)[: view.size]

    monkeypatch.setattr(SparseView, "chunks", chunks)
    point = {"a": SparseView(shape=(5_000,), runs=()), "b": SparseView(shape=(90_000,), runs=())}
    gradient_stats(Evaluation(value=0.0, grads=point), point, top=0)
    assert shown == [5_000, 90_000, 90_000]


def test_a_point_has_one_sketch_for_each_parameter() -> None:
    """The point must be known by the sketches, types and values of its parameters in order."""
    point = {"a": NumpyView(np.array([3.0, 4.0])), "b": NumpyView(np.ones((), np.float32))}
    found = point_stats(point, keep=True)
    assert found.sketches == (
        Sketch(norm=5.0, values=(3.0, 4.0)),
        Sketch(norm=1.0, values=(1.0,)),
    )
    assert found.dtypes == ("float64", "float32")
    assert found.values == (3.0, 4.0, 1.0)


def test_a_point_is_kept_only_on_demand() -> None:
    """Values must be left out unless the backend wants them stored."""
    assert point_stats({"a": NumpyView(np.ones(3))}, keep=False).values is None


@pytest.mark.parametrize(("size", "kept"), [(POINT_STORED, True), (POINT_STORED + 1, False)])
def test_a_large_point_is_not_kept(size: int, kept: bool) -> None:  # noqa: FBT001 - a table
    """Up to 4,096 values must be stored, and not one more."""
    found = point_stats({"a": NumpyView(np.ones(size))}, keep=True)
    assert (found.values is not None) is kept


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_point_that_is_not_finite_still_has_every_sketch(bad: float) -> None:
    """A value of NaN or Inf must be left out of its sketch, not take the sketch away."""
    point = {"a": NumpyView(np.array([bad, 4.0])), "b": NumpyView(np.ones(1))}
    found = point_stats(point, keep=True)
    assert [s.norm for s in found.sketches] == [4.0, 1.0]
    assert found.values is None


@pytest.mark.parametrize("size", [1e200, 1e-200, TINY])
def test_the_norm_of_a_point_neither_overflows_nor_vanishes(size: float) -> None:
    """Huge and tiny parameters must be told apart from others like any."""
    found = point_stats({"a": NumpyView(np.full(4, size))}, keep=False)
    assert found.sketches[0].norm == pytest.approx(2.0 * size, rel=1e-14)


def test_a_point_beyond_float64_is_refused() -> None:
    """A parameter whose norm does not exist must be named, not lose its sketch in silence."""
    with pytest.raises(UsageError, match="parameter 'a' are too large"):
        point_stats({"a": NumpyView(np.full(4, 1e308))}, keep=False)
