"""Turn arrays into numbers: norms, counts, extremes, sketches, and what components have in common.

Requirements:
    Nothing here knows limits, files or frameworks; arrays come as `ArrayView`.
"""

from __future__ import annotations

from pytest_gradcheck.stats.gradient import parameter_stats, point_stats
from pytest_gradcheck.stats.placed import placed
from pytest_gradcheck.stats.streamed import gradient_stats

__all__ = ["gradient_stats", "parameter_stats", "placed", "point_stats"]
