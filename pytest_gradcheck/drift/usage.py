"""Say how much of its allowance each parameter used, those that did not drift included."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pytest_gradcheck.drift.allowance import NUMERICALLY_ZERO
from pytest_gradcheck.drift.tier import tiers
from pytest_gradcheck.stats.matrix import matrix

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pytest_gradcheck.drift.tier import Tier
    from pytest_gradcheck.records import Measurement, ParameterStats

    _Pair = tuple[ParameterStats, ParameterStats]  # now, and then

__all__ = ["Usage", "usage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Hold how far gradients are from their baseline, each in the precision where it is farthest.

    Attributes:
        names: of the parameters that can be compared.
        precision: in which each is farthest: ``float64`` or ``native``.
        observed, allowed: distances, relative to the size of the gradient (`scale`).
        cosine: with the baseline; ``nan`` where one of the two is zero.
        share: the part of the allowance that is used; above 1 the parameter drifted.
    """

    names: tuple[str, ...] = ()
    precision: tuple[str, ...] = ()
    observed: tuple[float, ...] = ()
    allowed: tuple[float, ...] = ()
    cosine: tuple[float, ...] = ()
    share: tuple[float, ...] = ()


def usage(
    measurement: Measurement, baseline: Measurement, *, min_drift: float | None = None
) -> Usage:
    """Return what each parameter used of its allowance.

    Args:
        measurement: what the gradient is now.
        baseline: what it was, with its allowances.
        min_drift: relative distance that the user wants ignored.

    Returns:
        The parameters that can be compared: in both measurements, of one shape, finite, connected.
    """
    pairs: list[_Pair] = []
    labels: list[str] = []
    allowances: list[float] = []
    least: list[float] = []
    for tier in tiers(measurement, baseline, min_drift):
        fit = _comparable(tier)
        pairs += fit
        labels += [tier.label] * len(fit)
        allowances += [max(tier.allowed.get(now.name, 0.0), tier.min_drift) for now, _ in fit]
        least += [NUMERICALLY_ZERO * tier.was.norm] * len(fit)
    share, observed, allowed, cosine = _used(pairs, np.array(allowances), np.array(least)).tolist()
    worst: dict[str, int] = {}
    for i, (now, _) in enumerate(pairs):
        before = worst.setdefault(now.name, i)
        if share[i] > share[before]:
            worst[now.name] = i
    rows = list(worst.values())
    return Usage(
        names=tuple(worst),
        precision=tuple([labels[i] for i in rows]),
        observed=tuple([observed[i] for i in rows]),
        allowed=tuple([allowed[i] for i in rows]),
        cosine=tuple([cosine[i] for i in rows]),
        share=tuple([share[i] for i in rows]),
    )


def _comparable(tier: Tier) -> list[_Pair]:
    """Return the gradients that can be held against each other, now and then."""
    old = {p.name: p for p in tier.was.parameters}
    pairs = [(p, old[p.name]) for p in tier.now.parameters if p.name in old]
    return [
        (now, was)
        for now, was in pairs
        if now.sketch is not None and was.sketch is not None and now.shape == was.shape
    ]


def _distances(pairs: Sequence[_Pair]) -> NDArray[np.float64]:
    """Return the distance of each pair, as `stats.sketch.distance`, those of one length at once."""
    found = np.zeros(len(pairs))
    lengths: dict[int, list[int]] = {}
    for i, (now, _) in enumerate(pairs):
        lengths.setdefault(len(now.sketch.values) if now.sketch else 0, []).append(i)
    for length, rows in lengths.items():
        sides = [[s for i in rows if (s := pairs[i][side].sketch)] for side in (0, 1)]
        values = [matrix([s.values for s in side], length) for side in sides]
        norms = [np.array([s.norm for s in side], dtype=np.float64) for side in sides]
        both = (norms[0] > 0) & (norms[1] > 0)
        a, b = (np.where(both, norm, 1.0) for norm in norms)
        apart = values[0] / a[:, None] - values[1] / b[:, None]
        turn = np.sqrt((apart * apart).sum(axis=1))
        turned = np.where(both, np.sqrt(a) * np.sqrt(b) * turn, 0.0)
        found[rows] = np.hypot(norms[0] - norms[1], turned)
    return found


@np.errstate(over="ignore", invalid="ignore")  # a change beyond all floats is infinitely large
def _used(
    pairs: Sequence[_Pair], allowances: NDArray[np.float64], least: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return share, observed, allowed and cosine of each pair, as rows.

    Args:
        pairs: gradients, each of shape ``(n,)``, now and then.
        allowances: of each pair, relative.
        least: size below which each is numerically zero.
    """
    far = _distances(pairs)
    now, was = (np.array([pair[side].norm for pair in pairs]) for side in (0, 1))
    size = np.maximum(was, least)  # as `scale` has it
    unit, both = np.where(size > 0, size, 1.0), (now > 0) & (was > 0)
    observed, allowed = far / unit, allowances * (size / unit)
    a, b = (np.where(both, norm, 1.0) for norm in (now, was))
    turn = (far + (now - was)) * (far - (now - was)) / a / b  # by the law of cosines
    cosine = np.where(both, np.minimum(np.maximum(1.0 - turn / 2.0, -1.0), 1.0), np.nan)
    share = np.where(observed > 0, np.inf, 0.0)
    np.divide(observed, allowed, out=share, where=allowed > 0)
    return np.stack([share, observed, allowed, cosine])
