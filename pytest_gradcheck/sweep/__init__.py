"""Take the gradient over a grid of named settings, and limit how much it may change on the way.

Requirements:
    Two points of the grid are held against each other where they differ in one setting alone.
"""

from __future__ import annotations

from pytest_gradcheck.sweep.taking import swept
from pytest_gradcheck.sweep.values import LIMITS, Stop, Sweep

__all__ = ["LIMITS", "Stop", "Sweep", "swept"]
