"""Hold replicates against those of the baseline as distributions, where other draws were met.

Of every parameter two things are tested: the logarithm of its gradient norm, and every number of
its sketch, both by Welch's t test; of the whole gradient the distance of the replicates from their
median, by ranks. Norms alone never see a flipped sign, sketches hardly see a scale where noise
prevails, and neither sees a larger variance. With ``P`` parameters there are ``2 P + 1`` tests, and
``m`` in a sketch; each gets its share of the false alarms (Bonferroni).

Requirements:
    At most one false alarm in 10,000 runs, as far as the tests keep what they promise.
    Differences that rounding explains are no evidence. A parameter that is numerically zero beside
    the whole gradient is not tested: its distribution is that of rounding errors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from pytest_gradcheck.drift.allowance import NUMERICALLY_ZERO
from pytest_gradcheck.records import Finding, ParameterReplicates, Replicates
from pytest_gradcheck.stats.comparison import rank_sum, residuals, welch
from pytest_gradcheck.stats.distributions import normal_quantile, t_quantile
from pytest_gradcheck.stats.replicates import projections

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

__all__ = ["FALSE_ALARMS", "Effect", "distribution_changes", "smallest_effects", "summary"]

FALSE_ALARMS: Final = 1e-4
"""Per run of one test."""

POWER: Final = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """Hold the smallest changes of one parameter that are seen in nine of ten runs.

    Attributes:
        name: of the parameter.
        norm: change of the norm, relative.
        mean: distance of the mean gradient, relative to its own norm: whatever its direction, a
            shift as large as that is seen.
    """

    name: str
    norm: float
    mean: float


def distribution_changes(now: Replicates, was: Replicates) -> list[Finding]:
    """Return what changed of the distribution of the gradient, parameters in backward order.

    Args:
        now: the replicates.
        was: those of the baseline.
    """
    if now.lost:
        return []  # the check of replicates names those seeds
    names = _tested(was)
    share = FALSE_ALARMS / (2 * len(names) + 1)
    pairs = [(now[name], was[name]) for name in names]
    findings = [
        finding
        for new, old in reversed(pairs)
        for finding in _parameter(new, old, was.allowances.get(old.name, 0.0), share)
    ]
    return [*findings, *_spread([p for p, _ in pairs], [q for _, q in pairs], share)]


def summary(was: Replicates) -> str:
    """Say what the comparison of distributions can see, and how often it is wrong."""
    tests = 2 * len(_tested(was)) + 1
    text = (
        f"{was.count} replicates compared as distributions: at most {FALSE_ALARMS:g} false alarms "
        f"a run, shared by {tests} tests"
    )
    effects = smallest_effects(was)
    if effects:
        norm, mean = max(effects, key=lambda e: e.norm), max(effects, key=lambda e: e.mean)
        text += (
            f"; sees changes of the norm from {min(e.norm for e in effects):.0%} "
            f"({norm.name}: {norm.norm:.0%}), shifts of the mean from "
            f"{min(e.mean for e in effects):.2g} of its norm ({mean.name}: {mean.mean:.2g})"
        )
    return text


def smallest_effects(was: Replicates) -> list[Effect]:
    """Return what as many replicates again could tell from these, by parameter.

    A change of ``(t + z) sqrt(2 / R)`` standard deviations, with ``t`` the threshold and ``z`` the
    normal quantile of a power of 90 %.
    """
    names, count = _tested(was), len(was.each)
    share = FALSE_ALARMS / (2 * len(names) + 1)
    z, found = normal_quantile(POWER), []
    for p in (was[name] for name in names):
        rows = np.array(p.sketches)
        one, many = (t_quantile(share / n, 2 * count - 2) + z for n in (1, rows.shape[1]))
        step = math.sqrt(2.0 / count)
        logs = one * step * float(np.std(_logs(p.norms), ddof=1))
        shift = many * step * math.sqrt(float(rows.var(axis=0, ddof=1).sum()))
        mean = shift / p.mean_norm if p.mean_norm > 0 else math.inf
        found.append(Effect(name=p.name, norm=math.expm1(min(logs, 700.0)), mean=mean))
    return found


def _tested(was: Replicates) -> list[str]:
    """Return the parameters whose gradient is more than rounding errors."""
    whole = math.fsum(one.norm for one in was.each)
    return [p.name for p in was.parameters if math.fsum(p.norms) > NUMERICALLY_ZERO * whole]


def _parameter(
    new: ParameterReplicates, old: ParameterReplicates, allowed: float, share: float
) -> Iterator[Finding]:
    """Yield how the norm, and the mean, of one parameter's gradient changed."""
    logs = [_logs(p.norms)[:, None] for p in (new, old)]
    chance = float(welch(logs[0], logs[1], allowed)[0])
    size = float(np.mean(old.norms))
    if chance < share:
        was, now = (float(np.exp(x.mean())) for x in (logs[1], logs[0]))
        text = (
            f"typical norm over the seeds {was:.4g} -> {now:.4g}, ratio {now / was:.3g}, "
            f"probability by chance {chance:.1g}, allowed {share:.1g}"
        )
        yield Finding(subject=new.name, text=text, observed=chance, limit=share)
    rows = [np.array(p.sketches) for p in (new, old)]
    numbers = rows[0].shape[1]
    chance = min(1.0, numbers * float(welch(rows[0], rows[1], allowed * size).min()))
    if chance < share:
        apart = float(np.linalg.norm(rows[0].mean(axis=0) - rows[1].mean(axis=0)))
        text = (
            f"mean gradient moved: norm {old.mean_norm:.4g} -> {new.mean_norm:.4g}, distance "
            f"{apart:.3g}, probability by chance {chance:.1g}, allowed {share:.1g}"
        )
        yield Finding(subject=new.name, text=text, observed=chance, limit=share)


def _spread(
    new: Sequence[ParameterReplicates], old: Sequence[ParameterReplicates], share: float
) -> Iterator[Finding]:
    """Yield how the noise of the whole gradient changed."""
    if not old:
        return
    now, was = residuals(projections(new)), residuals(projections(old))
    floor = NUMERICALLY_ZERO * math.hypot(*(float(np.mean(p.norms)) for p in old))
    chance = rank_sum(now, was)
    if chance < share and max(np.median(now), np.median(was)) > floor:
        ratio = float(np.median(now) / np.median(was)) ** 2 if np.median(was) > 0 else math.inf
        text = (
            f"variance over the seeds x{ratio:.3g}, probability by chance {chance:.1g}, "
            f"allowed {share:.1g}"
        )
        yield Finding(subject="replicates", text=text, observed=chance, limit=share)


def _logs(norms: Sequence[float]) -> NDArray[np.float64]:
    """Return the logarithms of norms, zeros as a millionth of the largest."""
    values = np.array(norms)
    logs: NDArray[np.float64] = np.log(np.maximum(values, 1e-6 * values.max(initial=1e-300)))
    return logs
