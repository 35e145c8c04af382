"""Draw the random signs of the sketch: a hash of the index, so that any of them is at hand at once.

The construction is written down in `pytest_gradcheck.stats.sketch`.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["KEY", "LANES", "ROWS", "row_signs", "signs"]

KEY = 1
LANES = 4093
ROWS = 32

_KEPT = 128 * 1024  # signs that are kept, 1 MB: every parameter begins with the same


def signs(start: int, count: int, key: int = KEY) -> NDArray[np.float64]:
    """Return ``sign(key, i)`` for `count` indices from `start` on, shape ``(count,)``."""
    if key == KEY and start + count <= _KEPT:
        return _first_signs()[start : start + count]
    return _drawn(start, count, key)


@cache
def row_signs() -> NDArray[np.float64]:
    """Return ``sign(row_key(j), l)``, shape ``(4093, 32)``: 1 MB, made once."""
    mask = (1 << 64) - 1
    keys = (KEY ^ ((j + 1) * 0xD1342543DE82EF95 & mask) for j in range(ROWS))
    return np.stack([_drawn(0, LANES, key) for key in keys], axis=1)


@cache
def _first_signs() -> NDArray[np.float64]:
    """Return the signs that are kept."""
    return _drawn(0, _KEPT, KEY)


def _drawn(start: int, count: int, key: int) -> NDArray[np.float64]:
    """Return signs, made anew."""
    first, offset = divmod(start, 64)
    words = _words(first, (offset + count + 63) // 64, key)
    table = _byte_signs().take(words.astype("<u8", copy=False).view(np.uint8), axis=0)
    drawn = table.reshape(-1)[offset : offset + count]
    drawn.flags.writeable = False
    return drawn


@lru_cache(maxsize=64)
def _words(first: int, count: int, key: int) -> NDArray[np.uint64]:
    """Return `count` hash words from index `first` on."""
    z = np.arange(first + 1, first + 1 + count, dtype=np.uint64)
    z *= np.uint64(0x9E3779B97F4A7C15)
    z += np.uint64(key)
    z ^= z >> np.uint64(30)
    z *= np.uint64(0xBF58476D1CE4E5B9)
    z ^= z >> np.uint64(27)
    z *= np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    z.flags.writeable = False
    return z


@cache
def _byte_signs() -> NDArray[np.float64]:
    """Return the signs that each byte stands for, least significant bit first, ``(256, 8)``."""
    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little")
    table: NDArray[np.float64] = 1.0 - 2.0 * bits.astype(np.float64)
    return table
