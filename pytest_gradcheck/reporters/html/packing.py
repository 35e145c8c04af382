"""Make data small enough to lie in a page: few digits, columns in place of records, deflated.

The page's script reads it with ``DecompressionStream("deflate")`` and ``JSON.parse``.
"""

from __future__ import annotations

import base64
import json
import math
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["column", "packed", "rounded"]

_LEVEL = 9


def packed(data: object) -> str:
    """Return plain data as text in the letters of base64: JSON, deflated."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(zlib.compress(text.encode("ascii"), _LEVEL)).decode("ascii")


def rounded(value: float | None, digits: int = 7) -> float | int | str | None:
    """Return a number at a few significant digits; NaN and Inf as text, for JSON has none."""
    if value is None or isinstance(value, int):
        return value
    if not math.isfinite(value):
        return repr(float(value))
    short = float(f"{value:.{digits}g}")
    return int(short) if short.is_integer() and abs(short) < 1e15 else short  # noqa: PLR2004 - exact in float64


def column(values: Iterable[float | None], digits: int) -> list[Any] | Any:  # noqa: ANN401 - data
    """Return a column of numbers; one number in place of many equal ones."""
    form = f"%.{digits}g"
    found = [
        float(form % value) if type(value) is float and value - value == 0 else rounded(value)
        for value in values
    ]
    if found and all(one == found[0] for one in found):
        return found[0]
    return found
