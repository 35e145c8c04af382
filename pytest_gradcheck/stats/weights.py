"""Reduce weights to effective sample sizes (Kish 1965; Kong 1992)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pytest_gradcheck.records import WeightStats

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SHOWN", "Tally"]

SHOWN = 256  # instances whose own effective sample size is kept


class Tally:
    """Gather the weights of one evaluation, one number for each instance."""

    def __init__(self) -> None:
        """Start with none."""
        self._ess: list[NDArray[np.float64]] = []
        self._absolute: list[NDArray[np.float64]] = []
        self._samples: list[int] = []
        self._largest = 0.0
        self._negative = self._positive = False
        self._nonfinite = 0

    def add(self, weights: NDArray[np.float64]) -> None:
        """Add the weights of some instances, shape ``(instances, samples)``."""
        finite = np.isfinite(weights)
        self._nonfinite += int(weights.size - np.count_nonzero(finite))
        kept = np.where(finite, weights, 0.0)
        self._negative |= bool((kept < 0).any())
        self._positive |= bool((kept > 0).any())
        size = np.abs(kept).max(axis=1, keepdims=True)
        self._largest = max(self._largest, float(size.max()))
        unit = np.divide(kept, size, out=np.zeros_like(kept), where=size > 0)  # no square overflows
        square = np.maximum((unit * unit).sum(axis=1), 1.0)  # the largest alone is 1; zeros give 0
        self._ess.append(unit.sum(axis=1) ** 2 / square)
        self._absolute.append(np.abs(unit).sum(axis=1) ** 2 / square)
        self._samples.append(weights.shape[1])

    def finish(self) -> WeightStats | None:
        """Return what was reported, ``None`` where nothing was."""
        if not self._ess:
            return None
        ess = np.concatenate(self._ess)
        return WeightStats(
            instances=ess.size,
            samples=min(self._samples),
            ess=float(ess.mean()),
            least=float(ess.min()),
            ess_absolute=float(np.concatenate(self._absolute).mean()),
            largest=self._largest,
            signed=self._negative and self._positive,
            nonfinite=self._nonfinite,
            each=tuple(ess[:SHOWN].tolist()),
        )
