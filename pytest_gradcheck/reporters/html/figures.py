"""Describe figures that the page's script draws: lines with bands, and strips of points.

A figure is plain data: its kind, its title, what a reader who cannot see it is told, its numbers.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pytest_gradcheck.reporters.html.packing import rounded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["line", "strip"]

_POINTS = 400  # of a line; more would not show


def line(
    title: str,
    lines: Mapping[str, tuple[Sequence[int], Sequence[float]]],
    *,
    x: str = "step",
    y: str = "",
    bands: Mapping[str, tuple[float | None, float | None]] | None = None,
    log: bool = False,
) -> dict[str, Any]:
    """Return a figure of series over steps, healthy ranges behind them.

    Args:
        title: of the figure.
        lines: the steps and the values of each series by name.
        x: title of the axis of steps.
        y: title of the axis of values.
        bands: healthy ranges by name, ``(low, high)``, open where ``None``.
        log: whether values are shown on a logarithmic axis.
    """
    return {
        "kind": "line",
        "title": title,
        "x": x,
        "y": y,
        "log": log,
        "lines": [{"name": name, **_thinned(*both)} for name, both in lines.items()],
        "bands": [
            [name, rounded(low, 4), rounded(high, 4)] for name, (low, high) in (bands or {}).items()
        ],
    }


def strip(
    title: str,
    groups: Mapping[str, Sequence[float]],
    *,
    x: str = "",
    marks: Mapping[str, float] | None = None,
    log: bool = False,
) -> dict[str, Any]:
    """Return a figure of distributions: each value a point, a box over the middle half of many.

    Args:
        title: of the figure.
        groups: values by group.
        x: title of the axis.
        marks: single values to draw a line at, by name.
        log: whether values are shown on a logarithmic axis.
    """
    return {
        "kind": "strip",
        "title": title,
        "x": x,
        "log": log,
        "groups": [
            {"name": name, "values": [rounded(v, 5) for v in values]}
            for name, values in groups.items()
        ],
        "marks": [[name, rounded(value, 5)] for name, value in (marks or {}).items()],
    }


def _thinned(steps: Sequence[int], values: Sequence[float]) -> dict[str, Any]:
    """Return at most about `_POINTS` of the values, the last among them, and their steps.

    A value that is not finite is kept, however many there are.
    """
    every = max(1, -(-len(values) // _POINTS))
    last = len(values) - 1
    odd = [i for i, value in enumerate(values) if not math.isfinite(value)][:_POINTS]
    kept = sorted({*range(0, len(values), every), *odd, *([last] if values else [])})
    return {"at": [steps[i] for i in kept], "values": [rounded(values[i], 4) for i in kept]}
