"""Evaluate objectives as plans ask, and reduce what comes back.

Requirements:
    This is the only room that calls user code. It knows no limits and no baselines.
"""

from __future__ import annotations

from pytest_gradcheck.measure.gradient import is_wide, measure, samples
from pytest_gradcheck.measure.replicates import replicates

__all__ = ["is_wide", "measure", "replicates", "samples"]
