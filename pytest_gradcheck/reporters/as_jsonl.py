"""Write a report as JSON lines, one for each call, for reading into a data frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_gradcheck.reporters.encoding import compact, without_nonfinite

if TYPE_CHECKING:
    from pytest_gradcheck.reporters import Report

__all__ = ["jsonl_start"]


def jsonl_start(report: Report) -> bytes:
    """Return how each line begins that goes on as the call's line in a JSON report, less a brace.

    Args:
        report: that the calls are of; its environment is in every line.
    """
    environment = without_nonfinite({"environment": dict(report.environment)})
    return compact(environment)[:-1] + b","
