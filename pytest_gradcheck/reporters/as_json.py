"""Write a report as one JSON document, each call on a line of its own."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from pytest_gradcheck.reporters.content import entry_content, run_content
from pytest_gradcheck.reporters.packed import Block, filled, parted
from pytest_gradcheck.serialize import to_json, to_plain

if TYPE_CHECKING:
    from pytest_gradcheck.reporters import Report, ReportEntry

__all__ = ["CLOSING", "call_text", "json_line", "json_text", "opening"]

CLOSING = "\n]\n}\n"
"""What follows the last call of a document."""


def json_text(report: Report) -> str:
    """Return the report as JSON; NaN and Inf are the texts ``nan``, ``inf`` and ``-inf``."""
    calls = (call_text(entry, entry_content(entry, to_plain)) for entry in report.entries)
    lines = ",\n".join(filled(text, blocks) for text, blocks in calls)
    return f"{opening(report)}{lines}{CLOSING}"


def opening(report: Report) -> str:
    """Return a document up to its first call."""
    content = run_content(report, to_json)
    head = "".join(f"{json_line(name)}: {json_line(part)},\n" for name, part in content.items())
    return f'{{\n{head}"calls": [\n'


def call_text(entry: ReportEntry, content: dict[str, Any]) -> tuple[str, list[Block]]:
    """Return the line of one call, to be `filled`, and with what.

    Args:
        entry: of the call.
        content: of the entry, with real numbers; parted from its blocks.
    """
    blocks = parted(content)
    try:
        return json.dumps(content, allow_nan=False), blocks
    except ValueError:  # a number that JSON does not have
        told = entry_content(entry, to_json)
        parted(told)
        return json_line(told), blocks


def json_line(data: object) -> str:
    """Return plain data as JSON on one line."""
    return json.dumps(_finite(data), ensure_ascii=True, allow_nan=False)


def _finite(data: Any) -> Any:  # noqa: ANN401 - plain data of any shape
    """Return plain data with text in place of the floats that JSON does not have."""
    if isinstance(data, dict):
        return {name: _finite(part) for name, part in data.items()}
    if isinstance(data, list):
        return [_finite(part) for part in data]
    if isinstance(data, float) and not math.isfinite(data):
        return repr(float(data))
    return data
