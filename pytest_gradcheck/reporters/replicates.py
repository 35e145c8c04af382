"""Write what varies between seeds, as tables of a Markdown page and as series for machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_gradcheck.reporters.markup import code, number, prose, table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_gradcheck.records import Estimate, Replicate, Replicates

__all__ = ["replicate_lines", "replicate_metrics", "replicate_series"]

_ENDS = 5  # replicates shown from either end


def replicate_lines(found: Replicates, *, top: int) -> Iterator[str]:
    """Yield the tables of replicates: in total, by parameter, and the first and last of them.

    Args:
        found: to write.
        top: the most parameters, those of the largest variance first.
    """
    yield "### Replicates"
    yield ""
    yield from table(["statistic", "value", "95 % interval"], map(_statistic, _statistics(found)))
    rows = sorted(found.parameters, key=lambda p: -p.variance)[:top]
    yield from table(
        ["parameter", "norm of the mean gradient", "variance", "SNR squared"],
        (
            [code(p.name), number(p.mean_norm), number(p.variance), number(p.snr_squared)]
            for p in rows
        ),
    )
    each = list(found.each)
    shown = each if len(each) <= 2 * _ENDS + 1 else [*each[:_ENDS], None, *each[-_ENDS:]]
    yield from table(
        ["seed", "value", "norm", "cosine with the mean", "ESS", "largest weight"],
        map(_replicate, shown),
    )


def replicate_metrics(found: Replicates) -> dict[str, float | None]:
    """Return the numbers of replicates as one flat table."""
    metrics: dict[str, float | None] = {
        "replicates": found.count,
        "replicates.lost": len(found.lost),
    }
    for name, estimate in _estimates(found).items():
        metrics[f"replicates.{name}"] = estimate.value
        metrics[f"replicates.{name}.low"] = estimate.low
        metrics[f"replicates.{name}.high"] = estimate.high
    return metrics | {
        "replicates.mean_norm": found.mean_norm,
        "replicates.snr": found.snr,
        "replicates.noise_scale": found.noise_scale,
        "replicates.ess": found.ess,
        "replicates.max_weight": found.max_weight,
    }


def replicate_series(found: Replicates | None) -> list[dict[str, Any]]:
    """Return one row for each replicate."""
    if found is None:
        return []
    return [
        {
            "seed": one.seed,
            "value": one.value,
            "norm": one.norm,
            "cosine": one.cosine,
            "ess": one.weights.ess if one.weights else None,
            "least_ess": one.weights.least if one.weights else None,
            "max_weight": one.weights.largest if one.weights else None,
            "norms": {p.name: p.norms[r] for p in found.parameters},
        }
        for r, one in enumerate(found.each)
    ]


def _estimates(found: Replicates) -> dict[str, Estimate]:
    """Return what has an interval."""
    return {
        "norm": found.norm,
        "cv": found.cv,
        "variance": found.variance,
        "snr_squared": found.snr_squared,
    }


def _statistics(found: Replicates) -> Iterator[tuple[str, float | None, Estimate | None]]:
    """Yield the statistics in words."""
    yield f"replicates from seed {found.seed}", found.count, None
    if found.lost:
        yield "not finite", len(found.lost), None
    yield "norm of the mean gradient", found.mean_norm, None
    yield "mean of the norms", found.norm.value, found.norm
    yield "coefficient of variation of the norm", found.cv.value, found.cv
    yield "variance (trace of the covariance)", found.variance.value, found.variance
    yield "SNR squared, bias-corrected", found.snr_squared.value, found.snr_squared
    yield "simple gradient noise scale, in replicates (1 / SNR squared)", found.noise_scale, None
    if found.ess is not None:
        signed = any(w.signed for w in found.weighed)
        what = " (signed weights: a diagnostic)" if signed else ""
        yield f"effective sample size{what}", found.ess, None
        yield "largest absolute weight", found.max_weight, None


def _statistic(row: tuple[str, float | None, Estimate | None]) -> list[str]:
    """Return one row of the statistics."""
    name, value, estimate = row
    interval = "-"
    if estimate is not None and estimate.low is not None:
        high = "inf" if estimate.high is None else number(estimate.high)
        interval = f"{number(estimate.low)} .. {high}"
    return [prose(name), number(value), interval]


def _replicate(one: Replicate | None) -> list[str]:
    """Return the row of one replicate, dots for those left out."""
    if one is None:
        return ["..."] * 6
    weights = one.weights
    return [
        str(one.seed),
        number(one.value),
        number(one.norm),
        number(one.cosine),
        number(weights.ess if weights else None),
        number(weights.largest if weights else None),
    ]
