"""Weights that a loss reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from pytest_gradcheck import UsageError, weights
from pytest_gradcheck.weighing import collecting

if TYPE_CHECKING:
    from pytest_gradcheck.records import WeightStats


def of(*values: object) -> WeightStats:
    """Return the statistics of reported weights."""
    with collecting() as tally:
        for value in values:
            weights(value)
    found = tally.finish()
    assert found is not None
    return found


@pytest.mark.parametrize("scale", [1.0, 1e-200, 1e200])
def test_effective_sample_size(scale: float) -> None:
    """Equal weights count in full, one alone as one, whatever their unit."""
    found = of(scale * np.array([[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 5.0, 0.0], [1.0, 2.0, 3.0, 0.0]]))
    assert found.each == pytest.approx((4.0, 1.0, 36 / 14))
    assert found.ess == pytest.approx(np.mean(found.each))
    assert found.least == pytest.approx(1.0)
    assert (found.largest, found.signed) == (5.0 * scale, False)


def test_signed_weights() -> None:
    """Cancelling weights have no effective size, and their absolute ones still show it."""
    found = of([1.0, -1.0])
    assert (found.ess, found.ess_absolute, found.signed) == (0.0, 2.0, True)


def test_no_weight_at_all() -> None:
    """A row of zeros must count as nothing and divide by nothing."""
    assert of(np.zeros((1, 3))).ess == 0.0


def test_reports_add_up() -> None:
    """A loss may report several times, of different shapes."""
    found = of(np.ones((2, 3, 4)), np.ones(2))
    assert (found.instances, found.samples) == (7, 2)


def test_nobody_listening() -> None:
    """In a training loop the call must do nothing."""
    weights("whatever")
    with collecting() as tally:
        pass
    assert tally.finish() is None


@pytest.mark.parametrize("value", ["w", None, 1j, [[1.0], [1.0, 2.0]]])
def test_what_is_no_weight(value: object) -> None:
    """Anything but real numbers must be named."""
    with pytest.raises(UsageError, match="weights must be real numbers"):
        of(value)


@pytest.mark.parametrize("value", [1.0, np.zeros((3, 0))])
def test_weights_without_samples(value: object) -> None:
    """A number alone has no samples on its last axis."""
    with pytest.raises(UsageError, match="samples on their last axis"):
        of(value)
