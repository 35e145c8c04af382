"""Lay out the parameters of a call as columns, in forward order.

Names, shapes and types are kept once for all calls of the same model (`Layouts`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_gradcheck.reporters.html.packing import column
from pytest_gradcheck.stats.histogram import LOWEST, PER_DECADE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_gradcheck.drift.usage import Usage
    from pytest_gradcheck.records import Measurement, ParameterStats

__all__ = ["Layouts", "parameter_columns"]

_DIGITS = "0123456789abcdef"
_SAME = -1  # in place of a norm in the baseline that shows the same digits as the one now


@dataclass(slots=True)
class Layouts:
    """Number the layouts of models: names, shapes and types of their parameters."""

    _known: dict[tuple[tuple[str, tuple[int, ...], str], ...], int] = field(default_factory=dict)

    def number(self, parameters: Sequence[ParameterStats]) -> int:
        """Return the number of the layout of some parameters."""
        layout = tuple((p.name, p.shape, p.dtype) for p in parameters)
        return self._known.setdefault(layout, len(self._known))

    def content(self) -> list[dict[str, Any]]:
        """Return every layout as plain data."""
        return [
            {
                "names": [name for name, _, _ in layout],
                "shapes": [list(shape) for _, shape, _ in layout],
                "dtypes": [dtype for _, _, dtype in layout],
            }
            for layout in self._known
        ]


def parameter_columns(
    measurement: Measurement,
    baseline: Measurement | None,
    used: Mapping[str, Usage],
    layouts: Layouts,
) -> dict[str, Any]:
    """Return what the page shows of each parameter.

    Args:
        measurement: what was measured.
        baseline: what it was compared with, if anything.
        used: what each parameter used of its allowance, by name.
        layouts: to number the layout with.

    Returns:
        Columns of numbers in forward order; a single number stands for a column of equal ones.
    """
    every = measurement.native.parameters
    norms = [p.norm for p in every]
    columns = {
        "layout": layouts.number(every),
        "norm": column(norms, 4),
        "max": column([p.max_abs for p in every], 3),
        "mean": column([p.mean for p in every], 2),
        "zeros": column([p.zeros for p in every], 4),
        "bad": {
            i: [p.nans, p.infs, [list(index) for index in p.nonfinite]]
            for i, p in enumerate(every)
            if not p.finite
        },
        "off": [i for i, p in enumerate(every) if p.disconnected],
        "hist": [_levels(measurement.histograms.get(p.name, ())) for p in every]
        if measurement.histograms
        else None,
    }
    return columns | (_compared(every, baseline, used) if baseline else {})


def _compared(
    every: Sequence[ParameterStats], baseline: Measurement, used: Mapping[str, Usage]
) -> dict[str, Any]:
    """Return the columns that hold parameters against their baseline."""
    old = {p.name: p.norm for p in baseline.native.parameters}
    was = [old.get(p.name) for p in every]
    same = [
        _SAME if before is not None and f"{before:.4g}" == f"{p.norm:.4g}" else before
        for p, before in zip(every, was, strict=True)
    ]
    found = [used.get(p.name) for p in every]
    now = {p.name for p in every}
    return {
        "was": column(same, 4),
        "observed": column([one.observed if one else None for one in found], 2),
        "allowed": column([one.allowed if one else None for one in found], 2),
        "cosine": column([one.cosine if one else None for one in found], 4),
        "native": [i for i, one in enumerate(found) if one and one.precision == "native"],
        "gone": [
            [p.name, list(p.shape), f"{p.norm:.4g}"]
            for p in baseline.native.parameters
            if p.name not in now
        ],
    }


def _levels(counts: Sequence[int]) -> str:
    """Return a histogram as text: its first bin, then the height of each, one of 15 levels."""
    filled = bytes(map(bool, counts))
    first, last = filled.find(1), filled.rfind(1)
    if first < 0:
        return ""
    highest, most = max(counts), len(_DIGITS) - 1
    levels = [_DIGITS[-(-count * most // highest)] for count in counts[first : last + 1]]
    return f"{LOWEST * PER_DECADE + first}:{''.join(levels)}"
