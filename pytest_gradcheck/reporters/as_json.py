"""Write a report as one JSON document, each call on a line of its own."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from pytest_gradcheck.reporters.content import report_content
from pytest_gradcheck.serialize import to_json

if TYPE_CHECKING:
    from pytest_gradcheck.reporters import Report

__all__ = ["json_line", "json_text"]


def json_text(report: Report) -> str:
    """Return the report as JSON; NaN and Inf are the texts ``nan``, ``inf`` and ``-inf``."""
    content = report_content(report, to_json)
    calls = ",\n".join(json_line(call) for call in content.pop("calls"))
    head = "".join(f"{json_line(name)}: {json_line(part)},\n" for name, part in content.items())
    return f'{{\n{head}"calls": [\n{calls}\n]\n}}\n'


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
