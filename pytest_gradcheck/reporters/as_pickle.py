"""Write a report as a pickle of plain built-in types, which needs none of our code to be read.

Requirements:
    Written, never read: unpickling runs what the file says, and a report may come from anywhere.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from pytest_gradcheck.reporters.content import report_content

if TYPE_CHECKING:
    from pytest_gradcheck.reporters import Report

__all__ = ["pickle_bytes"]

_AS_THEY_ARE = (str, int, bool)
_PROTOCOL = 4  # every Python since 3.4 reads it


def pickle_bytes(report: Report) -> bytes:
    """Return the report as a pickle; NaN and Inf are floats, tuples are lists."""
    return pickle.dumps(_plain(report_content(report, _plain)), protocol=_PROTOCOL)


def _plain(value: Any) -> Any:  # noqa: ANN401 - a record, or a part of one
    """Return dicts, lists, text, numbers, booleans and ``None`` in place of records."""
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    if isinstance(value, float):
        return float(value)
    return value if value is None or type(value) in _AS_THEY_ARE else str(value)
