"""How much of its allowance each parameter used."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_gradcheck.drift.allowance import scale
from pytest_gradcheck.drift.usage import Usage, usage
from pytest_gradcheck.stats.sketch import distance
from tests.measurements import measurement, parameter, tier

if TYPE_CHECKING:
    from pytest_gradcheck.records import Measurement


def pair(*values: float, allowed: float = 1e-3) -> tuple[Measurement, Measurement]:
    """Return a measurement of one parameter, and its baseline (3, 4)."""
    now = measurement(native=tier(parameter("w", *values)))
    return now, replace(now, native=tier(parameter("w", 3.0, 4.0)), allowances={"w": allowed})


def of_one(now: Measurement, was: Measurement, min_drift: float | None = None) -> Usage:
    """Return what the only parameter used."""
    found = usage(now, was, min_drift=min_drift)
    assert found.names == ("w",)
    return found


def test_the_share_is_the_distance_against_the_allowance() -> None:
    """A change of a thousandth under an allowance of a hundredth must use a tenth of it."""
    now, was = pair(3.003, 4.004, allowed=1e-2)
    one = of_one(now, was)
    assert one.observed == pytest.approx((1e-3,))
    assert one.share == pytest.approx((0.1,))
    assert one.cosine == pytest.approx((1.0,))
    assert one.precision == ("native",)


def test_the_worse_precision_is_told() -> None:
    """Where two precisions were compared, the one nearer to its limit must be shown."""
    now, was = pair(3.003, 4.004, allowed=1e-1)
    now, was = (replace(m, shadow=m.native) for m in (now, was))
    one = of_one(now, replace(was, shadow_allowances={"w": 1e-5}))
    assert (one.precision, round(one.share[0])) == (("float64",), 100)
    one = of_one(now, replace(was, allowances={"w": 1e-6}, shadow_allowances={"w": 1e-5}))
    assert (one.precision, round(one.share[0])) == (("native",), 1000)


def test_what_the_user_ignores_is_allowed() -> None:
    """The knob min_drift must widen the allowance here as it does when drift is judged."""
    assert of_one(*pair(3.003, 4.004), min_drift=0.5).allowed == (0.5,)


def test_without_an_allowance_any_change_is_too_much() -> None:
    """A change against no allowance must be infinite, none at all be none."""
    assert of_one(*pair(3.0, 4.1, allowed=0.0)).share == (float("inf"),)
    assert of_one(*pair(3.0, 4.0, allowed=0.0)).share == (0.0,)


def test_what_cannot_be_compared_is_left_out() -> None:
    """Other names, other shapes and NaN must not be compared."""
    _, was = pair(3.0, 4.0)
    assert usage(measurement(native=tier(parameter("v", 3.0, 4.0))), was) == Usage()
    assert usage(measurement(native=tier(parameter("w", 3.0, 4.0, 5.0))), was) == Usage()
    bad = replace(parameter("w", 3.0, 4.0), nans=1, sketch=None)
    assert usage(measurement(native=tier(bad)), was) == Usage()


@given(st.lists(st.tuples(*[st.floats(-1e9, 1e9)] * 4), min_size=1, max_size=4))
def test_all_at_once_is_as_one_by_one(found: list[tuple[float, ...]]) -> None:
    """Distances taken together must be those of the drift check."""
    now = tier(*(parameter(f"p{i}", *x[: i + 1]) for i, x in enumerate(found)))
    was = tier(*(parameter(f"p{i}", *x[-i - 1 :]) for i, x in enumerate(found)))
    m = measurement(native=now)
    used = usage(m, replace(m, native=was))
    assert used.names == tuple(p.name for p in now.parameters)
    for name, observed in zip(used.names, used.observed, strict=True):
        a, b = now[name].sketch, was[name].sketch
        assert a is not None
        assert b is not None
        size = scale(b.norm, was.norm) or 1.0
        assert observed == pytest.approx(distance(a, b) / size, rel=1e-9, abs=1e-12)
