"""Say whether a model went fragile: its gradient scatters more around the point than it did."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pytest_gradcheck.drift.allowance import spread_allowed
from pytest_gradcheck.records import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_gradcheck.records import Measurement, Sample

__all__ = ["spread_findings"]

_SAME_VALUE = 1e-6  # relative change of the value at a draw up to which it is the same draw


def spread_findings(measurement: Measurement, baseline: Measurement) -> Iterator[Finding]:
    """Yield the spread of norms over the perturbed points if the model went fragile."""
    pairs = list(zip(measurement.samples, baseline.samples, strict=False))
    if not pairs or len(measurement.samples) != len(baseline.samples):
        return
    if not all(_same_point(now, was) for now, was in pairs):
        return
    observed, limit = measurement.log_spread, spread_allowed(baseline.log_spread)
    if observed > limit:
        text = (
            f"log(max/min) of the norm over {len(pairs)} perturbed points "
            f"{baseline.log_spread:.3g} -> {observed:.3g}, allowed {limit:.3g}"
        )
        yield Finding(subject="perturbed norms", text=text, observed=observed, limit=limit)


def _same_point(now: Sample, was: Sample) -> bool:
    """Return whether two samples are of one point; under one name a draw may be another one."""
    if (now.label, now.seed, now.scale) != (was.label, was.seed, was.scale):
        return False
    return bool(now.scale) or math.isclose(now.value, was.value, rel_tol=_SAME_VALUE)
