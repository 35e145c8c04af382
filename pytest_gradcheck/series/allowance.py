"""Say how far two runs of one loop part, of which only the rounding differs.

One run tells nothing of that, so the figures are those of ``benchmarks/series_noise.py``: loops of
several kinds, each trained as it is and again with other last bits; see "Two runs of one training
loop" in ``docs/explanation/benchmarks.md``. Noise explains two things, and each bounds the other.

**Runs need time to part.** A last bit is a millionth of a gradient at the most, until it flips an
activation, and what parts goes on parting: an allowance doubles with each of the first steps, and
grows by a quarter with each later one (`parting`). The worst loop that was found, a policy that
learns from its own draws, grew tenfold in four steps, but from a hundred-millionth on. What every
step may have parted by, taken together, is the most that a mean may have moved. In float64 that
bounds runs of forty steps to a few hundredths, where the loop itself would explain a tenth and
more; in float32 it bounds about fifteen steps, in 16 bits none.

**Parted runs are two samples of one loop.** Where they end depends on how the loop moves. The mean
of all steps hardly does: 10 % and three standard errors of ten of its values are more than twice
what was seen. The last steps do: they are allowed a share of their own size, their own scatter, and
to be ahead or behind by a quarter of the steps since they may have parted. Held against the size of
the whole run, a tail of a thousandth could double unseen, and one that rose late was a false alarm.

The standard error of a mean from batch means, with batches of the square root of the number of
steps (Flegal and Jones 2010, *Annals of Statistics* 38, 1034-1070; the idea is Schmeiser's, 1982,
*Operations Research* 30, 556-568), was tried in place of the 10 %, and given up: noise within a
run, however well its correlation is known, is not the distance between two runs that have parted.
Three of these errors and 5 % raised false alarms at 120 steps in float32.

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
    from collections.abc import Mapping, Sequence

    from pytest_gradcheck.records import Metric, Series

__all__ = ["COUNTED", "GROWTH", "HEAD", "MISSED", "allowances", "parting"]

HEAD: Final = 5
"""How many of the first steps are compared one by one."""

GROWTH: Final = 2.0
"""What the allowance of a step is multiplied by for the next one, among the first..."""

_LATER: Final = 1.25
"""... and later on."""

_PARTED: Final = 100
"""Steps after which runs have parted beyond measure."""

MISSED: Final = 0.2
"""Which share of the steps a metric was seen at may be more, or less, in another run."""

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
"""A norm of a parameter, a component, an input's mean below this share of the whole is noise."""

_MEAN: Final = 0.1
"""Allowed for the mean of parted runs, relative to the mean size of the metric..."""

_ERRORS: Final = 3.0
"""... and beside that so many standard errors, from the scatter of the recorded run."""

_TAIL: Final = 0.15
"""Allowed for the last steps of parted runs, relative to their own mean size..."""

_TAIL_ERRORS: Final = 4.0
"""... and beside that so many standard errors, from their own scatter around a line..."""

_SHIFT: Final = 0.25
"""... and being ahead or behind by this share of the steps since the runs may have parted."""

_FLOOR: Final = 0.1
"""Allowed late whatever the size, as a share of what is allowed at the first step."""

_FLIPS: Final = 2
"""How many of the last steps may be counted otherwise..."""

_FLIPPED: Final = 0.8
"""... and which share of them once runs have parted."""

_EXACT: Final = 1e-5
"""Allowed for what the loop itself sets; six digits of it are stored."""

_SET: Final = ("clip_threshold", "backwards")


def parting(step: int) -> float:
    """Return what the allowance of the first step is multiplied by at another one."""
    last = HEAD - 1
    return float(GROWTH ** min(step, last) * _LATER ** min(max(step - last, 0), _PARTED))


def allowances(metric: Metric, series: Series) -> tuple[float, float, float]:
    """Return what is allowed at the first step, for the mean, and for the mean of the last steps.

    Args:
        metric: finite, of the recorded run.
        series: the recorded run.
    """
    values = metric.values
    scale = max(map(abs, values))
    if metric.key in _SET or metric.key.partition(".")[0] == "lr":
        return _EXACT * scale, _EXACT * scale, _EXACT * scale
    whole = {
        "parameter": "norm",
        "component": "loss",
        "scale": f"{metric.key.rpartition('.')[0]}.max_abs",  # centred inputs have no mean
    }.get(metric.group)
    if whole is not None:
        found = series.matching(f"{metric.source}.{whole}" if metric.source else whole)
        scale = max(scale, _SHARE * max((max(map(abs, m.values)) for m in found), default=0.0))
    share = _FIRST.get(str(series.facts.get("precision")), _FIRST["float32"])
    first, last = share * scale, min(TAIL, len(values))
    scatter = trend(metric.steps, values).spread / math.sqrt(last)
    mean = _MEAN * _size(values) + _ERRORS * scatter
    if metric.group == "scale" and min(values) == max(values):
        return first, first, first  # the same input at every step does not part
    apart = [share * parting(step) for step in metric.steps]
    if metric.key in COUNTED:
        mean = max(mean, _FLIPS / last)
        return first, mean, max(mean, _FLIPPED * _mean([min(one, 1.0) for one in apart[-TAIL:]]))
    parted = [one * value for one, value in zip(apart, values, strict=True)]
    mean = max(min(_size(parted), mean), first)
    since = sum(one >= 1 for one in apart)
    late = _FLOOR * first + min(_size(parted[-TAIL:]), _moves(values, since))
    if 0.0 in values[-TAIL:]:  # as a hinge has them: no size to be relative to
        late = max(late, mean)
    return first, mean, late


def _moves(values: Sequence[float], since: int) -> float:
    """Return how far the last steps of runs may lie apart that parted so many steps ago."""
    before, tail = values[-2 * TAIL : -TAIL], values[-TAIL:]
    line = trend(range(len(tail)), tail)
    slope = abs(line.slope)
    if len(before) == TAIL:
        slope = max(slope, abs(_mean(tail) - _mean(before)) / TAIL)
    scatter = line.spread / math.sqrt(len(tail))
    return _TAIL * _size(tail) + _TAIL_ERRORS * scatter + _SHIFT * since * slope


def _size(values: Sequence[float]) -> float:
    """Return the mean absolute value."""
    return _mean([abs(value) for value in values])


def _mean(values: Sequence[float]) -> float:
    """Return the mean."""
    return sum(values) / len(values)
