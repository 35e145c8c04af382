"""Write a report as JSON lines, one for each call, for reading into a data frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_gradcheck.reporters.as_json import json_line

if TYPE_CHECKING:
    from pytest_gradcheck.reporters import Report

__all__ = ["jsonl_line"]


def jsonl_line(report: Report, call: str) -> str:
    """Return the line of a call with the environment of the run in it.

    Args:
        report: that the call is of.
        call: its line in a JSON report.
    """
    environment = json_line({"environment": dict(report.environment)})
    return f"{environment[:-1]}, {call[1:]}\n"
