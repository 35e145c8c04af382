"""Measurements as values: shorthands of the native gradient, and the spread of samples."""

from __future__ import annotations

import math
from dataclasses import replace
from types import MappingProxyType

import pytest

from pytest_gradcheck.records import Measurement, Sample
from tests.measurements import measurement


def around(*norms: float, value: float = 1.0) -> Measurement:
    """Return a measurement of norm 2 with samples of some norms."""
    found = measurement()
    native = replace(found.native, parameters=(replace(found.native.parameters[0], norm=2.0),))
    samples = [
        Sample(label="", seed=i, scale=1e-3, value=value, norm=n, cosine=1.0)
        for i, n in enumerate(norms)
    ]
    return replace(found, native=native, samples=tuple(samples))


def test_the_shorthands_are_those_of_the_native_gradient() -> None:
    """What a test asserts on must be the gradient in the model's own precision."""
    found = measurement(shadow=True)
    native = found.native
    assert (found.norm, found.max_abs, found.value, found.finite) == (
        native.norm,
        native.max_abs,
        native.value,
        native.finite,
    )
    assert found["encoder.bias"] == native["encoder.bias"]


def test_components_are_found_by_name_in_their_order() -> None:
    """The mapping must be readable and nothing else."""
    found = measurement().components
    assert list(found) == ["recon", "kl"]
    assert found["kl"].norm == 0.1
    assert isinstance(found, MappingProxyType)


@pytest.mark.parametrize(
    ("norms", "ratio"),
    [((), 1.0), ((2.0,), 1.0), ((1.0, 3.0), 2.0), ((6.0, 1.0), 3.0), ((0.0,), math.inf)],
)
def test_the_norm_ratio_counts_up_and_down(norms: tuple[float, ...], ratio: float) -> None:
    """The largest factor to the norm at the point must be told, 1 without samples."""
    assert around(*norms).max_norm_ratio == ratio


def test_two_gradients_of_zero_are_no_factor_apart() -> None:
    """Zero against zero must be 1."""
    found = around(0.0)
    still = replace(found.native.parameters[0], norm=0.0)
    flat = replace(found, native=replace(found.native, parameters=(still,)))
    assert flat.max_norm_ratio == 1.0


@pytest.mark.parametrize(
    ("norms", "spread"),
    [((), 0.0), ((2.0,), 0.0), ((1.0, math.e), 1.0), ((3.0, 3.0), 0.0), ((0.0, 3.0), math.inf)],
)
def test_the_spread_is_that_of_the_samples_alone(norms: tuple[float, ...], spread: float) -> None:
    """The logarithm of the largest over the smallest norm must need two of them."""
    assert around(*norms).log_spread == pytest.approx(spread)


def test_what_is_not_finite_does_not_spread() -> None:
    """A sample that is not finite must be left to the check that is about it."""
    assert around(1.0, 10.0, value=math.nan).log_spread == 0.0


@pytest.mark.parametrize(
    ("options", "finite"),
    [({}, True), ({"value": math.inf}, False), ({"nonfinite": ("w",)}, False)],
)
def test_a_sample_is_finite_in_value_and_gradient(
    options: dict[str, object],
    finite: bool,  # noqa: FBT001 - a table
) -> None:
    """Either must be enough to spoil it."""
    sample = replace(around(1.0).samples[0], **options)  # type: ignore[arg-type] # a table
    assert sample.finite is finite
