"""Lay out what varies between seeds: distributions to draw, estimates with their intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_gradcheck.reporters.html.figures import strip
from pytest_gradcheck.reporters.html.packing import rounded

if TYPE_CHECKING:
    from pytest_gradcheck.records.replicates import Replicates

__all__ = ["replicate_figures", "replicate_rows"]


def replicate_figures(now: Replicates, was: Replicates | None, sense: str) -> list[dict[str, Any]]:
    """Return the distributions of norm and value over the seeds, beside those of the baseline.

    Args:
        now: what was measured.
        was: the same in the baseline, if it has any.
        sense: what the value is called.
    """
    both = {"now": now} | ({"baseline": was} if was else {})
    norms = {name: [one.norm for one in found.each] for name, found in both.items()}
    values = {name: [one.value for one in found.each] for name, found in both.items()}
    marks = {f"norm of the mean gradient, {name}": found.mean_norm for name, found in both.items()}
    return [
        strip("Gradient norm under each seed", norms, x="L2 norm", marks=marks),
        strip(f"{sense} under each seed", values, x=sense),
    ]


def replicate_rows(now: Replicates, was: Replicates | None) -> list[list[Any]]:
    """Return estimates: name, value now, the two ends of its interval, value in the baseline.

    Args:
        now: what was measured.
        was: the same in the baseline, if it has any.
    """
    rows = [
        [
            title,
            rounded(new.value, 4),
            rounded(new.low, 4),
            rounded(new.high, 4),
            rounded(old.value, 4) if old else None,
        ]
        for title, new, old in (
            ("mean of the norms", now.norm, was.norm if was else None),
            ("coefficient of variation of the norms", now.cv, was.cv if was else None),
            ("variance of the gradient (trace)", now.variance, was.variance if was else None),
            ("squared signal-to-noise ratio", now.snr_squared, was.snr_squared if was else None),
        )
    ]
    for title, number, before in (
        ("gradient noise scale, in replicates", now.noise_scale, was.noise_scale if was else None),
        ("effective sample size of the weights", now.ess, was.ess if was else None),
        ("largest weight", now.max_weight, was.max_weight if was else None),
        ("replicates that are not finite", len(now.lost), len(was.lost) if was else None),
    ):
        if number is not None:
            rows.append([title, rounded(number, 4), None, None, rounded(before, 4)])
    return rows
