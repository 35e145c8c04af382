"""Hold replicates against those of the baseline, seed by seed, where both met the same draws."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pytest_gradcheck.drift.allowance import ESS, VALUE, scale
from pytest_gradcheck.drift.distribution import distribution_changes, summary
from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.records import Finding, Replicate, Replicates, Sketch
from pytest_gradcheck.stats.replicates import projections
from pytest_gradcheck.stats.sketch import distance

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from pytest_gradcheck.records import Measurement

__all__ = [
    "distribution_findings",
    "other_draws",
    "reordered",
    "replicate_findings",
    "replicate_structure",
]


def other_draws(measurement: Measurement, baseline: Measurement) -> bool:
    """Whether the random streams are not those of the baseline, as far as replicates tell."""
    now, was = measurement.replicates, baseline.replicates
    return now is not None and was is not None and now.stream != was.stream


def replicate_structure(measurement: Measurement, baseline: Measurement) -> Iterator[Finding]:
    """Yield why replicates cannot be compared; nothing where none were asked for."""
    now, was = measurement.replicates, baseline.replicates
    if now is None or (was is not None and (now.count, now.seed) == (was.count, was.seed)):
        return
    before = "none" if was is None else f"{was.count} from seed {was.seed}"
    yield Finding(subject="replicates", text=f"{before} -> {now.count} from seed {now.seed}")


def replicate_findings(
    measurement: Measurement,
    baseline: Measurement,
    min_drift: float | None,
    known: Collection[str],
) -> Iterator[Finding]:
    """Yield the parameters that drifted under some seed, in backward order, then the values.

    Args:
        measurement: with replicates, or without.
        baseline: with those of the same seeds and draws.
        min_drift: relative distance to ignore.
        known: subjects whose drift is reported anyhow.
    """
    now, was = measurement.replicates, baseline.replicates
    if now is None or was is None or now.lost:
        return  # the check of replicates names the seeds that were lost
    for i in reversed(range(len(was.parameters))):
        if was.parameters[i].name not in known:
            yield from _parameter(now, was, i, min_drift or 0.0)
    if "replicates" not in known:
        yield from _numbers(now, was, min_drift or 0.0)


def distribution_findings(
    measurement: Measurement, baseline: Measurement
) -> tuple[list[Finding], Finding]:
    """Return how the distribution changed, and what comparing it can see.

    Args:
        measurement: whose replicates met other draws than the baseline's.
        baseline: with replicates.
    """
    now, was = measurement.replicates, baseline.replicates
    if now is None or was is None:
        msg = "there are no replicates to compare"
        raise UsageError(msg)
    text = (
        "the random streams are not those of the baseline (another device, library or generator); "
        + summary(was)
    )
    return distribution_changes(now, was), Finding(subject="replicates", text=text)


def reordered(measurement: Measurement, baseline: Measurement) -> tuple[str, ...]:
    """Return the diagnosis of draws in another order: each replicate drifted, all together not."""
    now, was = measurement.replicates, baseline.replicates
    if now is None or was is None or now.lost or was.identical:
        return ()
    apart = np.square(projections(now.parameters) - projections(was.parameters)).sum(axis=1)
    noise = was.variance.value or 0.0
    # Draws that have nothing to do with each other are twice the variance apart.
    if np.median(apart) < noise / 2 or distribution_changes(now, was):
        return ()
    text = (
        f"as distributions, the {was.count} replicates are those of the baseline: were random "
        "numbers drawn in another order or number?"
    )
    return (text,)


def _parameter(now: Replicates, was: Replicates, i: int, min_drift: float) -> Iterator[Finding]:
    """Yield the seed under which one parameter drifted most beyond its allowance, if any."""
    new, old = now.parameters[i], was.parameters[i]
    relative = max(was.allowances.get(old.name, 0.0), min_drift)
    drifted = []
    for r, one in enumerate(was.each):
        size = scale(old.norms[r], one.norm)
        far = distance(
            Sketch(norm=new.norms[r], values=new.sketches[r]),
            Sketch(norm=old.norms[r], values=old.sketches[r]),
        )
        if far > relative * size:
            drifted.append((far / size if size else far, r))
    if drifted:
        far, r = max(drifted)
        text = (
            f"in {len(drifted)} of {len(was.each)} replicates, most with seed {was.each[r].seed}: "
            f"norm {old.norms[r]:.4g} -> {new.norms[r]:.4g}, relative distance {far:.3g}, "
            f"allowed {relative:.2g}"
        )
        yield Finding(subject=new.name, text=text, observed=far, limit=relative)


def _numbers(now: Replicates, was: Replicates, min_drift: float) -> Iterator[Finding]:
    """Yield the value, and the effective sample size, that changed most under one seed."""
    rows = [(VALUE, "value", [(a.value, b.value) for a, b in _pairs(now, was)])]
    weighed = [(a.weights, b.weights) for a, b in _pairs(now, was)]
    if any((a is None) != (b is None) for a, b in weighed):
        text = (
            "the loss reports weights, and did not"
            if was.weighed == ()
            else ("the loss no longer reports weights")
        )
        yield Finding(subject="replicates", text=text)
    pairs = [(a.ess, b.ess) for a, b in weighed if a is not None and b is not None]
    for key, what, values in [*rows, (ESS, "effective sample size", pairs)]:
        relative = max(was.allowances.get(key, 0.0), min_drift)
        most = max((abs(b) for _, b in values), default=0.0)
        changes = [(abs(a - b), r) for r, (a, b) in enumerate(values)]
        far, r = max(changes, default=(0.0, 0))
        if far > relative * most:
            a, b = values[r]
            text = (
                f"{what} {b:.7g} -> {a:.7g} with seed {was.each[r].seed}, change {far / most:.3g} "
                f"of the largest, allowed {relative:.2g}"
                if most
                else f"{what} 0 -> {a:.7g} with seed {was.each[r].seed}"
            )
            yield Finding(subject="replicates", text=text, observed=far, limit=relative * most)


def _pairs(now: Replicates, was: Replicates) -> Iterator[tuple[Replicate, Replicate]]:
    """Return the replicates of equal seeds."""
    return zip(now.each, was.each, strict=True)
