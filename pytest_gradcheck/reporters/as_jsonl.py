"""Write a report as JSON lines, one for each call, for reading into a data frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_gradcheck.reporters.as_json import json_line
from pytest_gradcheck.reporters.content import entry_content
from pytest_gradcheck.serialize import to_json

if TYPE_CHECKING:
    from pytest_gradcheck.reporters import Report

__all__ = ["jsonl_text"]


def jsonl_text(report: Report) -> str:
    """Return one line of JSON for each call, with the environment of the run in each."""
    environment = {"environment": dict(report.environment)}
    calls = (entry_content(entry, to_json) for entry in report.entries)
    return "".join(f"{json_line(environment | call)}\n" for call in calls)
