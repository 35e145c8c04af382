"""Compare several estimators of one gradient: have they the same mean, and whose variance is less?

Requirements:
    The estimators are evaluated under the same seeds. Where they draw the same numbers their noise
    is common and cancels, which the paired tests use and do not need.
"""

from __future__ import annotations

from pytest_gradcheck.estimators.comparing import LEVEL, compared
from pytest_gradcheck.estimators.values import Comparison, Pair

__all__ = ["LEVEL", "Comparison", "Pair", "compared"]
