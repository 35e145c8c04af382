"""Ways that are a few lines: the total norm, and histograms as they are logged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.power.observed import norm

if TYPE_CHECKING:
    from benchmarks.power.observed import Answer

__all__ = ["histogram", "histograms_differ", "norms_differ"]

BINS = 64


def norms_differ(now: Answer, before: Answer) -> bool:
    """Return whether the total norm moved by more than one percent."""
    a, b = norm(now.grads), norm(before.grads)
    return not abs(a - b) <= 0.01 * b


def histograms_differ(now: Answer, before: Answer) -> bool:
    """Return whether more than one percent of a parameter's elements are in another bin."""
    for name, old in before.grads.items():
        new = now.grads[name]
        if (new is None) != (old is None):
            return True
        if new is None or old is None:
            continue
        counts, edges = histogram(old)
        other, _ = np.histogram(np.nan_to_num(new), bins=edges)
        if np.abs(counts - other).sum() > 0.02 * old.size:
            return True
    return False


def histogram(values: Any) -> tuple[Any, Any]:  # noqa: ANN401 - arrays
    """Return counts and edges of 64 bins."""
    return np.histogram(values, bins=BINS)
