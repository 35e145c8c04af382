"""What is equal in every bit is passed over, and nothing else is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pytest_gradcheck.drift.tier import gap, gradient, same, tiers, values
from tests.measurements import measurement

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_gradcheck.records import ComponentStats, GradientStats, ParameterStats


def with_parameter(
    stats: GradientStats, change: Callable[[ParameterStats], ParameterStats]
) -> GradientStats:
    """Return a gradient whose first parameter is changed."""
    first, *others = stats.parameters
    return replace(stats, parameters=(change(first), *others))


def turned(parameter: ParameterStats) -> ParameterStats:
    """Return a parameter whose gradient has the same norm and another direction."""
    assert parameter.sketch is not None
    first, *others = parameter.sketch.values
    return replace(parameter, sketch=replace(parameter.sketch, values=(-first - 1.0, *others)))


def with_component(
    stats: GradientStats, change: Callable[[ComponentStats], ComponentStats]
) -> GradientStats:
    """Return a gradient whose first component is changed."""
    first, *others = stats.components
    return replace(stats, components=(change(first), *others))


CHANGES: dict[str, Callable[[GradientStats], GradientStats]] = {
    "value": lambda s: replace(s, value=s.value + 1.0),
    "component value": lambda s: with_component(s, lambda c: replace(c, value=99.0)),
    "component norm": lambda s: with_component(s, lambda c: replace(c, norm=99.0)),
    "direction": lambda s: with_parameter(s, turned),
    "disconnected": lambda s: with_parameter(s, lambda p: replace(p, disconnected=True)),
}


@pytest.mark.parametrize("shadow", [False, True], ids=["native", "float64"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_is_not_passed_over(
    change: Callable[[GradientStats], GradientStats], *, shadow: bool
) -> None:
    """Whatever a comparison looks at must count, in either precision."""
    one = measurement(shadow=True)
    if shadow:
        assert one.shadow is not None
        other = replace(one, shadow=change(one.shadow))
    else:
        other = replace(one, native=change(one.native))
    assert not same(tiers(other, one, None))


def test_what_is_passed_over_has_nothing_to_say() -> None:
    """Where all is the same, none of the comparisons that are left out may find anything."""
    one = measurement(shadow=True)
    pairs = tiers(one, one, None)
    assert same(pairs)
    assert [*gradient(pairs), *values(pairs, one.sense), *gap(one, one, ())] == []


def test_what_is_not_finite_is_never_passed_over() -> None:
    """A gradient without a sketch must be reported even where the baseline has none either."""
    one = measurement()
    lost = with_parameter(one.native, lambda p: replace(p, sketch=None, nans=1))
    one = replace(one, native=lost, shadow=None)
    pairs = tiers(one, one, None)
    assert not same(pairs)
    assert [f.subject for f in gradient(pairs)] == [lost.parameters[0].name]
