"""Summaries of a metric, held against numpy and scipy."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pytest_gradcheck.records import Metric
from pytest_gradcheck.series.summary import by_epoch, ends, summarise
from pytest_gradcheck.stats.trend import trend
from tests.runs import metric, run

NUMBERS = st.floats(-1e6, 1e6)
VALUES = st.lists(NUMBERS, min_size=1, max_size=40)
BAD = st.sampled_from([math.nan, math.inf, -math.inf])
ROWS = st.lists(st.tuples(st.integers(1, 5), NUMBERS), min_size=3, max_size=30)


def spaced(rows: list[tuple[int, float]]) -> tuple[list[int], list[float]]:
    """Return increasing steps with gaps, and a value at each."""
    steps = np.cumsum([gap for gap, _ in rows]).tolist()
    return steps, [value for _, value in rows]


@given(VALUES, st.integers(1, 50))
def test_numbers_are_those_of_numpy(values: list[float], tail: int) -> None:
    """First, last, extremes and means must be what numpy says of the same values."""
    summary = summarise(metric("x", *values), tail=tail)
    array, late = np.array(values), np.array(values[-tail:])
    assert (summary.count, summary.nonfinite) == (len(values), 0)
    assert (summary.first, summary.last) == (values[0], values[-1])
    assert (summary.low, summary.high) == (array.min(), array.max())
    close = {"rel": 1e-9, "abs": 1e-9 * max(1.0, np.abs(array).max())}
    assert summary.mean == pytest.approx(array.mean(), **close)
    assert summary.tail == len(late)
    assert summary.tail_mean == pytest.approx(late.mean(), **close)


@given(ROWS)
def test_the_line_is_that_of_least_squares(rows: list[tuple[int, float]]) -> None:
    """Slope, interval and scatter must be those of numpy's solver and scipy's Student."""
    steps, values = spaced(rows)
    line = trend(steps, values)
    design = np.stack([np.array(steps) - np.mean(steps), np.ones(len(steps))], axis=1)
    (slope, level), *_ = np.linalg.lstsq(design, np.array(values))
    rest = np.array(values) - design @ [slope, level]
    spread = math.sqrt(rest @ rest / (len(steps) - 2))
    half = stats.t.ppf(0.975, len(steps) - 2) * spread / np.linalg.norm(design[:, 0])
    close = {"rel": 1e-6, "abs": 1e-7 * (1.0 + np.abs(values).max())}
    assert line.slope == pytest.approx(slope, **close)
    assert line.low == pytest.approx(slope - half, **close)
    assert line.high == pytest.approx(slope + half, **close)
    assert line.spread == pytest.approx(spread, **close)


@given(ROWS, st.floats(-1e3, 1e3), st.floats(0.1, 10.0))
def test_the_line_moves_with_its_values(
    rows: list[tuple[int, float]], offset: float, factor: float
) -> None:
    """A constant must change no slope, a factor must scale it with its interval."""
    steps, values = spaced(rows)
    line = trend(steps, values)
    other = trend(steps, [factor * value + offset for value in values])
    close = {"rel": 1e-6, "abs": 1e-7 * (1e4 + factor * np.abs(values).max())}
    assert other.slope == pytest.approx(factor * line.slope, **close)
    assert other.high - other.low == pytest.approx(factor * (line.high - line.low), **close)


def test_the_interval_covers_the_slope_as_often_as_it_says() -> None:
    """Of 2,000 lines with noise, 95 in 100 must have their slope in the interval."""
    rng = np.random.default_rng(0)
    steps = list(range(10))
    lines = [
        trend(steps, (0.3 * np.arange(10) + rng.standard_normal(10)).tolist()) for _ in range(2000)
    ]
    covered = sum(line.low <= 0.3 <= line.high for line in lines) / len(lines)
    assert covered == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / len(lines)))


@pytest.mark.parametrize(("values", "known"), [((), False), ((2.0,), False), ((2.0, 3.0), False)])
def test_too_few_points_tell_no_trend(values: tuple[float, ...], *, known: bool) -> None:
    """Fewer than three points must leave the interval open."""
    line = trend(range(len(values)), values)
    assert math.isfinite(line.low) == known
    assert not line.rises
    assert not line.falls


def test_what_is_sure_rises_or_falls() -> None:
    """A line without scatter must be sure of its slope, and a level one of its level."""
    assert trend([0, 1, 2], [1.0, 2.0, 3.0]).rises
    assert trend([0, 1, 2], [3.0, 2.0, 1.0]).falls
    level = trend([0, 1, 2], [1.0, 1.0, 1.0])
    assert (level.slope, level.low, level.high) == (0.0, 0.0, 0.0)


@given(VALUES, BAD, st.data())
def test_values_that_are_not_finite_are_counted_and_left_out(
    values: list[float], bad: float, data: st.DataObject
) -> None:
    """One NaN or Inf anywhere must change nothing but the counts."""
    at = data.draw(st.integers(0, len(values)))
    steps = tuple(step + (step >= at) for step in range(len(values)))
    plain = Metric(key="x", group="core", steps=steps, values=tuple(values))
    mixed = metric("x", *values[:at], bad, *values[at:])
    one, other = summarise(plain), summarise(mixed)
    assert (other.count, other.nonfinite) == (one.count + 1, 1)
    assert (other.mean, other.tail_mean, other.trend) == (one.mean, one.tail_mean, one.trend)
    assert (other.first, other.last, other.low, other.high) == (
        *(one.first, one.last, one.low, one.high),
    )


def test_a_metric_without_finite_values() -> None:
    """Nothing must be made of nothing."""
    summary = summarise(metric("x", math.nan, math.inf))
    assert (summary.count, summary.nonfinite, summary.tail) == (2, 2, 0)
    assert math.isnan(summary.mean)
    assert math.isnan(summary.last)


@given(st.lists(st.integers(0, 1), min_size=1, max_size=40), st.sets(st.integers(1, 39)))
def test_clip_ratios_of_epochs_make_up_that_of_the_run(flags: list[int], cuts: set[int]) -> None:
    """Ratios weighted by the steps of their epochs must add up to the whole."""
    epochs = tuple(sorted(cut for cut in cuts if cut < len(flags)))
    series = run(metric("clipped", *map(float, flags)), epochs=epochs, steps=len(flags))
    ratios = by_epoch(series, series["clipped"])
    lengths = [high - low for low, high in pairwise((0, *epochs, len(flags)))]
    whole = sum(ratio * length for ratio, length in zip(ratios, lengths, strict=True))
    assert whole == pytest.approx(sum(flags))


@given(VALUES, st.integers(1, 5))
def test_head_and_tail_have_no_value_in_common(values: list[float], count: int) -> None:
    """The ends must be the ends, in order, and show no step twice."""
    head, tail = ends(metric("x", *values), count)
    steps = [step for step, _ in (*head, *tail)]
    assert steps == sorted(set(steps))
    assert head == tuple(enumerate(values))[:count]
    assert [value for _, value in (*head, *tail)][-1] == values[-1]
