"""Lay out the parameters of a call as columns, in forward order.

Names, shapes and types are kept once for all calls of the same model (`Layouts`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_gradcheck.reporters.html.packing import Ready, column, texts
from pytest_gradcheck.stats.histogram import LOWEST, PER_DECADE
from pytest_gradcheck.stats.matrix import matrix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_gradcheck.drift.usage import Usage
    from pytest_gradcheck.records import Measurement, ParameterStats

__all__ = ["Layouts", "parameter_columns"]

_DIGITS = b"0123456789abcdef"
_LETTERS = np.frombuffer(_DIGITS, dtype=np.uint8)
_SAME = "-1"  # in place of a norm in the baseline that shows the same digits as the one now


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
    used: Usage,
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
    norms = texts([p.norm for p in every], 4)
    columns = {
        "layout": layouts.number(every),
        "norm": column(norms),
        "max": column(texts([p.max_abs for p in every], 3)),
        "mean": column(texts([p.mean for p in every], 2)),
        "zeros": column(texts([p.zeros for p in every], 4)),
        "bad": {
            str(i): [p.nans, p.infs, [list(index) for index in p.nonfinite]]
            for i, p in enumerate(every)
            if not p.finite
        },
        "off": [i for i, p in enumerate(every) if p.disconnected],
        "hist": _levels([measurement.histograms.get(p.name, ()) for p in every])
        if measurement.histograms
        else None,
    }
    return columns | (_compared(every, norms, baseline, used) if baseline else {})


def _compared(
    every: Sequence[ParameterStats], norms: Sequence[str], baseline: Measurement, used: Usage
) -> dict[str, Any]:
    """Return the columns that hold parameters against their baseline."""
    old = {p.name: p.norm for p in baseline.native.parameters}
    was = texts([old.get(p.name) for p in every], 4)
    place = {name: i for i, name in enumerate(used.names)}
    found = [place.get(p.name) for p in every]
    now = {p.name for p in every}

    def told(values: Sequence[float], digits: int) -> Ready:
        return column(texts([None if i is None else values[i] for i in found], digits))

    return {
        "was": column([_SAME if a == b else b for a, b in zip(norms, was, strict=True)]),
        "observed": told(used.observed, 2),
        "allowed": told(used.allowed, 2),
        "cosine": told(used.cosine, 4),
        "native": [
            i for i, j in enumerate(found) if j is not None and used.precision[j] == "native"
        ],
        "gone": [
            [p.name, list(p.shape), f"{p.norm:.4g}"]
            for p in baseline.native.parameters
            if p.name not in now
        ],
    }


def _levels(histograms: Sequence[tuple[int, ...]]) -> list[str]:
    """Return histograms as text: the first bin, then the height of each, one of 15 levels."""
    bins = max(map(len, histograms), default=0)
    if not bins:
        return [""] * len(histograms)
    every = [counts + (0,) * (bins - len(counts)) for counts in histograms]
    counts = matrix(every, bins, "q")
    highest = counts.max(axis=1)
    levels = -(-counts * (len(_DIGITS) - 1) // np.maximum(highest, 1)[:, None])
    text = _LETTERS[levels].tobytes().decode("ascii")
    filled = counts > 0
    first, last = filled.argmax(axis=1), bins - filled[:, ::-1].argmax(axis=1)
    found = zip(highest.tolist(), first.tolist(), last.tolist(), strict=True)
    return [
        f"{LOWEST * PER_DECADE + i}:{text[row * bins + i : row * bins + j]}" if most else ""
        for row, (most, i, j) in enumerate(found)
    ]
