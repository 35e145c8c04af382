"""Make arrays of many short rows of numbers, in a third of the time that numpy alone takes."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["matrix"]


def matrix(
    rows: Sequence[Sequence[float]], length: int, kind: Literal["d", "q"] = "d"
) -> NDArray[Any]:
    """Return rows of numbers as an array of shape ``(rows, length)``, which is read-only.

    Args:
        rows: all of one length.
        length: of each.
        kind: ``d`` for float64, ``q`` for int64.
    """
    pack = struct.Struct(f"={length}{kind}").pack
    data = b"".join([pack(*row) for row in rows])
    return np.frombuffer(data, dtype=np.dtype(kind)).reshape(len(rows), length)
