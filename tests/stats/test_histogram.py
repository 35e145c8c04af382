"""Sizes of elements, counted."""

from __future__ import annotations

import numpy as np

from pytest_gradcheck.stats.histogram import BINS, LOWEST, PER_DECADE, histogram
from tests.objectives import SparseView


def test_each_element_is_counted_in_the_bin_of_its_size() -> None:
    """Half a decade must be a bin, its lower edge in it; what is beyond is in the outer bins."""
    values = (1.0, -2.0, 5.0, 1e-3, 1e-30, 1e30)
    counts = histogram(SparseView(shape=(6,), runs=((0, values),)))
    found = {LOWEST + i / PER_DECADE: n for i, n in enumerate(counts) if n}
    last = LOWEST + (BINS - 1) / PER_DECADE
    assert found == {-20.0: 1, -3.0: 1, 0.0: 2, 0.5: 1, last: 1}


def test_zeros_and_what_is_not_finite_are_in_no_bin() -> None:
    """The statistics count these, and a logarithm of them is none."""
    counts = histogram(SparseView(shape=(9,), runs=((0, (0.0, np.nan, np.inf, -np.inf)),)))
    assert counts == (0,) * BINS
