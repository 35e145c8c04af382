"""Write what is kept of a training run as an entry of a baseline file, and read it back.

Such an entry says ``"kind": "series"``. Each metric has its name on one line and its numbers on the
next: the first steps one by one, means, and what noise explains, at six significant digits.
"""

from __future__ import annotations

import dataclasses
import json
import math
from typing import TYPE_CHECKING, Any

from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.records import MetricBaseline, SeriesBaseline
from pytest_gradcheck.serialize.values import from_json, to_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_gradcheck.records import Scalar

__all__ = ["KIND", "series_data", "series_of", "series_text", "split_series"]

KIND = "series"
"""What the ``kind`` of such an entry is; a gradient's entry has none."""

_LATER = ("tail_allowance", "seen")  # absent from lines that were written before there were any


def split_series(data: dict[str, Any]) -> dict[str, Any]:
    """Take the entries that keep training runs out of a file's data, and return them."""
    entries = data.get("entries")
    found = entries if isinstance(entries, dict) else {}
    series = {key: e for key, e in found.items() if isinstance(e, dict) and e.get("kind") == KIND}
    for key in series:
        del found[key]
    return series


def series_data(baseline: SeriesBaseline) -> dict[str, Any]:
    """Return an entry as JSON data.

    Raises:
        UsageError: a number is NaN or Inf.
    """
    metrics = {name: _rounded(name, line) for name, line in baseline.metrics.items()}
    data = to_json(dataclasses.replace(baseline, metrics=metrics, packages={}))
    del data["packages"]  # the file's header has them
    for line in data["metrics"].values():
        for name in _LATER:
            if line[name] is None:
                del line[name]
    return {"kind": KIND, **data}


def series_of(data: Mapping[str, Any], environment: Mapping[str, Scalar]) -> SeriesBaseline:
    """Return what an entry keeps.

    Args:
        data: of the entry.
        environment: of the file, which is all that is known of the packages.

    Raises:
        UsageError: a field is missing, unknown or of the wrong type, or a number is not finite.
    """
    fields = {name: value for name, value in data.items() if name != "kind"}
    baseline = from_json(SeriesBaseline, fields)
    for name, line in baseline.metrics.items():
        _rounded(name, line)
    packages = {name: text for name, text in environment.items() if isinstance(text, str)}
    return dataclasses.replace(baseline, packages=packages)


def series_text(key: str, data: Mapping[str, Any]) -> str:
    """Return the lines of an entry."""
    head = {name: value for name, value in data.items() if name not in ("metrics", "facts")}
    rows = (f"   {_line(name)}:\n    {_line(line)}" for name, line in data["metrics"].items())
    blocks = [
        f"  {_line(head)[1:-1]}",
        f'  "facts": {_line(data["facts"])}',
        '  "metrics": {\n' + ",\n".join(rows) + "\n  }",
    ]
    return f" {_line(key)}: {{\n" + ",\n".join(blocks) + "\n }"


def _rounded(name: str, line: MetricBaseline) -> MetricBaseline:
    """Return the numbers of a metric as they are stored."""
    late = line.tail_allowance
    numbers = (*line.head, line.mean, line.tail, line.head_allowance, line.mean_allowance)
    if late is not None:
        numbers = (*numbers, late)
    if not all(map(math.isfinite, numbers)):
        msg = f"the metric {name!r} is NaN or Inf"
        raise UsageError(msg)
    return MetricBaseline(
        head=tuple(_digits(value, 6) for value in line.head),
        mean=_digits(line.mean, 6),
        tail=_digits(line.tail, 6),
        head_allowance=_digits(line.head_allowance, 3),
        mean_allowance=_digits(line.mean_allowance, 3),
        tail_allowance=None if late is None else _digits(late, 3),
        seen=line.seen,
    )


def _digits(number: float, count: int) -> float:
    """Round to some significant digits."""
    return float(f"{number:.{count}g}")


def _line(data: object) -> str:
    """Return JSON on one line, in letters as they are unless some would not show."""
    text = json.dumps(data, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(data)
