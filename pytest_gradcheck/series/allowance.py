"""Say how far two runs of one loop part, of which only the rounding differs.

One run tells nothing of that, so the figures are those of ``benchmarks/series_noise.py``: five
kinds of model, two optimizers, three precisions, thirty steps; each trained as it is and again with
weights moved by one unit in the last place, on two threads, with other kernels, and with the rows
of a batch in another order: 300 pairs of runs, of which none raised a false alarm.

=========  ===============  ===================  ===================  ==================
precision  worst at step 0  worst at steps 1-4   allowed at step 0    worst of the means
=========  ===============  ===================  ===================  ==================
float64    1e-15            2e-15                1e-6                 6e-16
float32    8e-7             2e-3 (see below)     1e-3                 1e-2
bfloat16   5e-3             3e-2                 2e-2                 5e-2
=========  ===============  ===================  ===================  ==================

In float32 all but one of the ways to train stayed below 2e-6. In the other, a convolutional
network, one activation within rounding of zero flipped, and its norms parted by 2e-3 within two
steps; the allowance is there for that. What parts goes on parting, hence allowances that double
with each step. Later two runs are two samples of one loop, and only means are compared.

Requirements:
    Two runs that differ in rounding alone agree within their allowances; the benchmark fails if
    not.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from pytest_gradcheck.series.summary import TAIL
from pytest_gradcheck.stats.trend import trend

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_gradcheck.records import Metric, Series

__all__ = ["COUNTED", "GROWTH", "HEAD", "allowances"]

HEAD: Final = 5
"""How many of the first steps are compared one by one."""

GROWTH: Final = 2.0
"""What the allowance of a step is multiplied by for the next one."""

COUNTED: Final = ("clipped", "skipped")
"""What is 0 or 1 at a step and may flip by a hair: only its means are compared."""

_FIRST: Final[Mapping[str, float]] = {
    "float64": 1e-6,
    "float32": 1e-3,
    "bfloat16": 2e-2,
    "float16": 2e-2,
}
"""Allowed at the first step, relative to the largest value of the metric, by precision."""

_SHARE: Final = 1e-2
"""A parameter's norm or a component below this share of the whole is noise beside it."""

_MEAN: Final = 0.1
"""Allowed for means, relative to the mean size of the metric..."""

_ERRORS: Final = 3.0
"""... and beside that so many standard errors, from the scatter of the recorded run."""

_FLIPS: Final = 2
"""How many of the last steps may be counted otherwise."""

_EXACT: Final = 1e-5
"""Allowed for what the loop itself sets; six digits of it are stored."""

_SET: Final = ("clip_threshold", "backwards")


def allowances(metric: Metric, series: Series) -> tuple[float, float]:
    """Return what is allowed at the first step, and for means.

    Args:
        metric: finite, of the recorded run.
        series: the recorded run.
    """
    values = metric.values
    scale = max(map(abs, values))
    if metric.key in _SET or metric.key.partition(".")[0] == "lr":
        return _EXACT * scale, _EXACT * scale
    whole = {"parameter": "norm", "component": "loss"}.get(metric.group)
    if whole is not None:
        found = series.matching(f"{metric.source}.{whole}" if metric.source else whole)
        scale = max(scale, _SHARE * max((max(map(abs, m.values)) for m in found), default=0.0))
    first = _FIRST.get(str(series.facts.get("precision")), _FIRST["float32"]) * scale
    last = min(TAIL, len(values))
    size = sum(map(abs, values)) / len(values)
    scatter = trend(metric.steps, values).spread / math.sqrt(last)
    least = _FLIPS / last if metric.key in COUNTED else first
    return first, max(_MEAN * size + _ERRORS * scatter, least)
