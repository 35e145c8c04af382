"""The compiled loops and their twins in numpy give the same bits."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from functools import partial
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_gradcheck.point import NumpyView
from pytest_gradcheck.records import Evaluation
from pytest_gradcheck.stats import kernels, once
from pytest_gradcheck.stats.gradient import gradient_stats, parameter_stats, point_stats
from pytest_gradcheck.stats.sketch import sketch

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from pytest_gradcheck.records import ParameterStats

pytestmark = pytest.mark.skipif(
    kernels.compiled is None, reason="no compiled loops: there was no compiler at installation"
)

SIZES = st.sampled_from([1, 32, 33, 64, 100, 4092, 4093, 4094, 8186, 65_488, 70_000, 140_001])
DTYPES = st.sampled_from([np.float16, np.float32, np.float64])


@st.composite
def arrays(draw: st.DrawFn) -> NDArray[np.floating[Any]]:
    """Return an array whose elements have very different sizes, some of them zero."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    dtype = np.dtype(draw(DTYPES))
    spread = (
        draw(st.sampled_from([0, 3])) if dtype == np.float16 else draw(st.sampled_from([0, 30]))
    )
    values = rng.standard_normal(draw(SIZES)) * 2.0 ** rng.integers(-spread, 1 + spread // 3)
    values *= 2.0 ** rng.integers(-spread, 1, values.size)
    values[rng.random(values.size) < draw(st.sampled_from([0, 0.1, 1.0]))] = 0.0
    if draw(st.booleans()):
        values = np.abs(values)
    return values.astype(dtype)


def in_numpy(action: Callable[[], Any]) -> Any:
    """Do something without the compiled loops."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "compiled", None)
        return action()


def stats(values: NDArray[np.floating[Any]], chunk: int, top: int = 20) -> ParameterStats:
    """Return the statistics of an array, read in chunks."""
    view = NumpyView(values)
    return parameter_stats("w", view, like=view, top=top, chunk=chunk)


@given(values=arrays(), chunk=st.sampled_from([1000, 4093, 65_488, 200_000]))
def test_statistics_are_the_same_bits(values: NDArray[np.floating[Any]], chunk: int) -> None:
    """All of norm, mean, counts, largest elements and sketch must be equal, exactly."""
    assert stats(values, chunk) == in_numpy(lambda: stats(values, 65_488))


@given(values=arrays(), bad=st.lists(st.sampled_from([math.nan, math.inf, -math.inf]), min_size=1))
def test_what_is_not_finite_is_counted_alike(
    values: NDArray[np.floating[Any]], bad: list[float]
) -> None:
    """NaN and Inf must be found, counted and left out by both."""
    values[: len(bad)] = bad[: values.size]
    found = stats(values, 65_488)
    assert found.nans + found.infs == min(len(bad), values.size)
    assert found == in_numpy(lambda: stats(values, 65_488))


@pytest.mark.parametrize("exponent", [-1040, -900, -401, -400, 0, 400, 401, 900])
def test_sizes_at_the_ends_of_float64(exponent: int) -> None:
    """Numbers whose squares float64 does not hold must give the same sketch by both."""
    values = np.ldexp(np.random.default_rng(0).standard_normal(9000), exponent)
    assert sketch(values) == in_numpy(lambda: sketch(values))


def test_equal_elements_overflow_nothing() -> None:
    """The sum of many elements of one sign must be exact, and the lanes must not overflow."""
    values = np.full(5000 * 4093, 1.0, dtype=np.float32)
    found = stats(values, 65_488)
    assert found.mean == 1.0
    assert found.norm == math.sqrt(values.size)
    assert found == in_numpy(lambda: stats(values, 65_488))


@given(
    values=arrays(),
    bar=st.sampled_from([0.0, 1e-3, 0.5, 0.5 + 1e-12, 3.0]),
    order=st.sampled_from(["as drawn", "rising", "falling", "rounded"]),
)
def test_the_largest_elements(values: NDArray[np.floating[Any]], bar: float, order: str) -> None:
    """The largest must be found in order by both, of equal ones the first."""
    if order == "rounded":
        values = np.round(values)
    elif order != "as drawn":
        values = np.sort(values)[:: 1 if order == "rising" else -1].copy()
    sizes = np.abs(values.astype(np.float64))
    best = np.argsort(-sizes, kind="stable")
    expected = [(i, float(values[i])) for i in best[sizes[best] > bar].tolist()]
    for most in (1, 20, 256, 300):
        assert kernels.top_of(values, bar, most) == expected[:most]
        assert in_numpy(partial(kernels.top_of, values, bar, most)) == expected[:most]


def test_the_largest_of_nearly_equal_elements() -> None:
    """Where halving does not tell the largest from the rest, sorting must."""
    values = np.full(3000, 1.0, dtype=np.float32)
    values[[7, 2000]] = np.nextafter(np.float32(1), np.float32(2))
    for top_of in (kernels.top_of, lambda *args: in_numpy(partial(kernels.top_of, *args))):
        assert [i for i, _ in top_of(values, 0.0, 5)] == [7, 2000, 0, 1, 2]


@dataclass(frozen=True)
class InMemory(NumpyView):
    """Show where the elements of an array lie, as a backend may."""

    @property
    def memory(self) -> tuple[int, int, int]:
        """Address, number and bytes of each."""
        return self.array.ctypes.data, self.array.size, self.array.itemsize


@given(
    values=st.lists(arrays().filter(lambda a: a.dtype != np.float16), min_size=1, max_size=30),
    top=st.sampled_from([0, 1, 5, 20, 300]),
)
def test_elements_read_where_they_lie(values: list[NDArray[np.floating[Any]]], top: int) -> None:
    """Arrays that are told by their address must give what they give as arrays."""
    shown = {str(i): NumpyView(v) for i, v in enumerate(values)}
    told = {name: InMemory(view.array) for name, view in shown.items()}
    expected = gradient_stats(Evaluation(value=0.0, grads=shown), shown, top=top)
    assert gradient_stats(Evaluation(value=0.0, grads=told), told, top=top) == expected
    assert point_stats(told, keep=False) == point_stats(shown, keep=False)


def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many parameters reduced in several threads must give what one thread gives."""
    rng = np.random.default_rng(0)
    views = {str(i): NumpyView(rng.standard_normal(50 + 997 * i)) for i in range(40)}
    evaluation = Evaluation(value=0.0, grads=views)
    expected = gradient_stats(evaluation, views, top=20)
    monkeypatch.setattr(once, "_threads", lambda: 4)
    monkeypatch.setattr(once, "_SHARED", 0)
    assert gradient_stats(evaluation, views, top=20) == expected


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda k: k.survey(np.zeros((2, 2))), "wanted a flat array of float32 or float64, not 2"),
        (lambda k: k.survey(np.zeros(2, np.int64)), "not 1 axes of 'l'"),
        (
            lambda k: k.project(np.zeros(5000, np.int64), 0),
            "lanes of int64, not 40000",
        ),
        (lambda k: k.project(np.zeros(50), 0), "of 'd'"),
        (lambda k: k.survey((0, 3, 4)), "3 elements of 4 bytes at 0"),
        (lambda k: k.survey((64, -1, 4)), "-1 elements"),
        (lambda k: k.survey((64, 3, 2)), "elements of 2 bytes at 64: wanted 4 or 8"),
        (lambda k: k.survey((64, 3)), "exactly 3 arguments"),
        (lambda k: k.top(np.ones(3), 0.0, 0), "0 of the largest: wanted 1 to 256"),
        (lambda k: k.top(np.ones(3), 0.0, 257), "257 of the largest"),
        (lambda k: k.reduce(np.ones(0), 1), "0 elements into 1 lanes"),
        (lambda k: k.reduce(np.ones(50), 4094), "50 elements into 4094 lanes"),
        (
            lambda k: k.fold(np.zeros(2**24 + 1), 0, True, np.zeros(4093, np.int64), 1.0, 1.0),  # noqa: FBT003
            "16777217 elements into 4093 lanes: wanted at most 16777216",
        ),
        (
            lambda k: k.fold(np.zeros(7), 0, True, np.zeros(0, np.int64), 1.0, 1.0),  # noqa: FBT003
            "7 elements into 0 lanes",
        ),
    ],
)
def test_arrays_of_another_kind_are_refused(call: Callable[[Any], object], message: str) -> None:
    """Nothing may be read or written that is not what the loops take it for."""
    with pytest.raises((TypeError, ValueError), match=message):
        call(kernels.compiled)


@given(
    rows=st.lists(arrays(), min_size=1, max_size=5),
    bad=st.sampled_from([None, math.nan, math.inf, -math.inf]),
    cut=st.sampled_from([16, 4096, 65_536]),
)
def test_inner_products_are_the_same_bits(
    rows: list[NDArray[np.floating[Any]]], bad: float | None, cut: int
) -> None:
    """Sums of products must be equal exactly, of whole arrays and of their windows alike."""
    size = min(row.size for row in rows)
    wide = [row[:size].astype(np.float64 if row.dtype == np.float16 else row.dtype) for row in rows]
    if bad is not None:
        wide[0][size // 2] = bad
    scales = [2.0**-i for i in range(len(wide))]

    def sums(window: int) -> NDArray[np.float64]:
        found = np.zeros((len(wide), len(wide), kernels.TRACKS))
        for first in range(0, size, window):
            kernels.add_products([row[first : first + window] for row in wide], scales, found)
        return found

    whole = sums(size)
    assert np.array_equal(whole, in_numpy(lambda: sums(size)))
    assert np.array_equal(whole, sums(cut))
    clean = np.where(np.isfinite(wide), wide, 0.0) * np.array(scales)[:, None]
    for i, j in combinations_with_replacement(range(len(wide)), 2):
        products = clean[i] * clean[j]
        error = 1e-12 * math.fsum(abs(products)) + 1e-300
        assert math.fsum(whole[i, j]) == pytest.approx(math.fsum(products), rel=0, abs=error)


def test_inner_products_of_arrays_that_do_not_fit_are_refused() -> None:
    """Arrays of two lengths, and sums of the wrong size, must be named, and nothing added."""
    two, three, sums = np.ones(2), np.ones(3), np.zeros(4 * kernels.TRACKS)
    with pytest.raises(ValueError, match="inner products of 2 and 3 elements"):
        kernels.compiled.products((two, three), (1.0, 1.0), sums)
    with pytest.raises(ValueError, match="3 arrays, 2 scales and 512 bytes of 'd'"):
        kernels.compiled.products((two, two, two), (1.0, 1.0), sums)
    with pytest.raises(TypeError, match="flat array of float32 or float64"):
        kernels.compiled.products((two, np.ones((2, 1))), (1.0, 1.0), sums)
    assert not sums.any()


def test_none_is_handed_over_as_a_reference_of_its_own() -> None:
    """Loops built for a later Python must not use up the references to None of Python 3.11."""
    values, sums = np.array([1.0, math.inf]), np.zeros(kernels.TRACKS)
    actions: list[Callable[[], object]] = [
        lambda: kernels.compiled.products((values,), (1.0,), sums),
        lambda: kernels.compiled.reduce(values, 2),  # None, as not all are finite
    ]
    before = sys.getrefcount(None)
    found = [action() for action in actions for _ in range(500)]
    assert found == [None] * 1000
    del found
    assert abs(sys.getrefcount(None) - before) < 100
