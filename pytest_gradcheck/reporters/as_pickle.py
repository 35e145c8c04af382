"""Write a report as a pickle of plain built-in types, which needs none of our code to be read.

Requirements:
    Written, never read: unpickling runs what the file says, and a report may come from anywhere.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytest_gradcheck.reporters.content import RECORDS, run_content
from pytest_gradcheck.serialize import to_plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_gradcheck.atomic import Draft
    from pytest_gradcheck.reporters import Report

__all__ = ["write_pickle"]

_AS_THEY_ARE = (str, int, bool)
_PROTOCOL = 4  # every Python since 3.4 reads it


def write_pickle(draft: Draft, report: Report, calls: Iterable[dict[str, Any]]) -> None:
    """Write the report as a pickle; NaN and Inf are floats, tuples are lists.

    Args:
        draft: to write into.
        report: what the run found out.
        calls: content of its entries, with real numbers.
    """
    whole = _plain(run_content(report, to_plain))
    whole["calls"] = [  # its records are of built-in types already
        {name: part if name in RECORDS else _plain(part) for name, part in call.items()}
        for call in calls
    ]
    pickle.Pickler(draft, protocol=_PROTOCOL).dump(whole)


def _plain(value: Any) -> Any:  # noqa: ANN401 - data of any shape
    """Return dicts, lists, text, numbers, booleans and ``None`` in place of anything else."""
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    if isinstance(value, float):
        return float(value)
    return value if value is None or type(value) in _AS_THEY_ARE else str(value)
