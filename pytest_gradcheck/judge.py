"""Let every check judge a measurement, and gather what they say in a verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_gradcheck.caution import cautions
from pytest_gradcheck.checks.ranks import RanksAgree
from pytest_gradcheck.records import CheckResult, Measurement, Verdict

if TYPE_CHECKING:
    from pytest_gradcheck.limits import Limits

__all__ = ["judge", "with_drift"]


def judge(measurement: Measurement, limits: Limits, *, name: str = "") -> Verdict:
    """Return the verdict of every check but drift.

    Args:
        measurement: to judge.
        limits: that hold for it.
        name: of the call within its test.
    """
    # Several ranks are held against each other wherever there are any: nobody has to ask for it.
    several = "ranks" in measurement.facts
    checks = (*limits.checks, RanksAgree()) if several else limits.checks
    return Verdict(
        name=name,
        measurement=measurement,
        results=tuple(check.judge(measurement) for check in checks),
        limits=limits.text(),
        warnings=cautions(measurement),
    )


def with_drift(verdict: Verdict, result: CheckResult, baseline: Measurement | None) -> Verdict:
    """Return the verdict with what the baseline says, judged last."""
    return Verdict(
        name=verdict.name,
        measurement=verdict.measurement,
        results=(*verdict.results, result),
        baseline=baseline,
        limits=verdict.limits,
        warnings=verdict.warnings,
        tables=verdict.tables,
    )
