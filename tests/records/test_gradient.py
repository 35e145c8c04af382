"""The statistics of a gradient as values: what follows from what."""

from __future__ import annotations

import dataclasses
import math

import pytest

from pytest_gradcheck.records import ComponentStats, GradientStats, ParameterStats
from tests.measurements import parameter


def stats(**options: object) -> ParameterStats:
    """Return the statistics of a 2 x 3 gradient."""
    return ParameterStats(**{"name": "w", "shape": (2, 3), "dtype": "float64", **options})  # type: ignore[arg-type] # a shorthand


def test_size_rms_and_zero_fraction_follow_from_shape_and_counts() -> None:
    """What can be computed must not be stored a second time."""
    found = stats(norm=6.0, zeros=3)
    assert (found.size, found.zero_fraction) == (6, 0.5)
    assert found.rms == pytest.approx(math.sqrt(6.0))


def test_a_scalar_has_one_element_and_an_empty_array_none() -> None:
    """The empty shape must count one, a shape with a zero none, without a division by zero."""
    assert stats(shape=()).size == 1
    empty = stats(shape=(0, 3))
    assert (empty.size, empty.rms, empty.zero_fraction) == (0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("options", "finite", "dead"),
    [
        ({"zeros": 5}, True, False),
        ({"zeros": 6}, True, True),
        ({"disconnected": True}, True, True),
        ({"zeros": 5, "nans": 1}, False, False),
        ({"zeros": 5, "infs": 1}, False, False),
    ],
)
def test_a_gradient_is_dead_when_nothing_of_it_lives(
    options: dict[str, int],
    finite: bool,  # noqa: FBT001 - a table
    dead: bool,  # noqa: FBT001 - a table
) -> None:
    """Disconnected or zero everywhere must be dead; NaN is neither finite nor dead."""
    found = stats(**options)
    assert (found.finite, found.dead) == (finite, dead)


def test_the_whole_is_the_sum_of_its_parts() -> None:
    """Norm, extremes and counts must run over all parameters."""
    parts = (
        parameter("a", 3.0, 0.0),
        dataclasses.replace(parameter("b", -4.0), nans=1, infs=2),
    )
    whole = GradientStats(value=1.0, parameters=parts)
    assert (whole.norm, whole.max_abs, whole.size) == (5.0, 4.0, 3)
    assert (whole.nans, whole.infs, whole.finite) == (1, 2, False)


def test_norms_of_huge_parts_do_not_overflow() -> None:
    """The root of the sum of squares must be taken without squares."""
    whole = GradientStats(value=1.0, parameters=(parameter("a", 3e200), parameter("b", 4e200)))
    assert whole.norm == pytest.approx(5e200)


def test_an_empty_gradient_has_no_size() -> None:
    """No parameters must make zeros, not errors."""
    whole = GradientStats(value=1.0, parameters=())
    assert (whole.norm, whole.max_abs, whole.size, whole.finite) == (0.0, 0.0, 0, True)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_the_value_and_the_components_must_be_finite_too(value: float) -> None:
    """A finite gradient of a loss that is not must not be called finite."""
    part = (parameter("a", 1.0),)
    term = ComponentStats(name="kl", value=1.0, norm=1.0, share=1.0, finite=False)
    assert not GradientStats(value=value, parameters=part).finite
    assert not GradientStats(value=1.0, parameters=part, components=(term,)).finite
    assert GradientStats(value=1.0, parameters=part).finite


def test_parameters_are_found_by_name() -> None:
    """A name must give its statistics, an unknown one the known names."""
    whole = GradientStats(value=1.0, parameters=(parameter("a", 1.0), parameter("b", 2.0)))
    assert whole["b"].norm == 2.0
    with pytest.raises(KeyError, match="no parameter 'c'; known: a, b"):
        whole["c"]


def test_statistics_cannot_be_changed() -> None:
    """A value that travels must arrive as it left."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        parameter("a", 1.0).norm = 2.0  # type: ignore[misc] # what is refused
