"""Reduce an array to 32 numbers from which its distance to another array can be estimated.

The sketch is linear: the sketch of a difference is the difference of the sketches. It addresses
every element by its index in the flat C order of the whole parameter, so parts of an array can be
folded where they lie and added up.

Construction, version 1, in unsigned 64-bit arithmetic that wraps around::

    mix(z):        z ^= z >> 30;  z *= 0xBF58476D1CE4E5B9
                   z ^= z >> 27;  z *= 0x94D049BB133111EB
                   z ^= z >> 31
    word(key, w) = mix(key + (w + 1) * 0x9E3779B97F4A7C15)
    sign(key, i) = 1 - 2 * (bit i % 64, least significant first, of word(key, i // 64))
    row_key(j)   = key ^ ((j + 1) * 0xD1342543DE82EF95)

    n <= 32:     the values themselves
    n <= 4093:   lane[i] = g[i]
    otherwise:   lane[l] = sum of sign(key, i) * g[i] over all i with i % 4093 == l
    value[j]     = sum of sign(row_key(j), l) * lane[l] over all l, divided by sqrt(32)

with ``key = 1`` and every sum in float64. ``mix`` is the output function of SplitMix64 (Steele, Lea
and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014). Folding with random
signs, then projecting on random signs, keeps the expected squared length (Achlioptas,
"Database-friendly random projections", 2003); 4093 is prime so that the columns of a matrix do not
fall into one lane.

Test vectors: ``word(1, 0) == 0x910A2DEC89025CC1``; ``word(row_key(0), 0) == 0xD5B37C315D75FA51``;
the sketch of ``1.0, 2.0, ..., 10000.0`` begins with -8012.226937624770, -41387.313456239215,
26463.117732515944.

Requirements:
    Stored sketches outlive this code: a change of the construction is a new version.
    32 values underestimate a distance by half once in 200,000 times.
"""

from __future__ import annotations

import math
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import numpy as np

from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.records import Sketch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "KEY",
    "LANES",
    "ROWS",
    "Fold",
    "cosine",
    "distance",
    "short_sketch",
    "signs",
    "sketch",
    "total_cosine",
]

KEY = 1
LANES = 4093
ROWS = 32


class Fold:
    """Accumulate the sketch of one array from its chunks, in any order."""

    __slots__ = ("_lanes", "_size")

    def __init__(self, size: int) -> None:
        """Start the sketch of an array of `size` elements."""
        self._size = size
        self._lanes = np.zeros(min(size, LANES))

    def add(self, start: int, values: NDArray[np.float64]) -> None:
        """Add the elements `values`, shape ``(k,)``, that begin at flat index `start`."""
        stop = start + values.size
        if self._size <= LANES:
            self._lanes[start:stop] += values
            return
        signed = signs(start, values.size)
        head = min(-start % LANES, values.size)
        if head:
            lane = start % LANES
            self._lanes[lane : lane + head] += signed[:head] * values[:head]
        rows = (values.size - head) // LANES
        body = head + rows * LANES
        if rows:
            shape = (rows, LANES)
            self._lanes += np.einsum(
                "ij,ij->j", signed[head:body].reshape(shape), values[head:body].reshape(shape)
            )
        if body < values.size:
            self._lanes[: values.size - body] += signed[body:] * values[body:]

    def finish(self, norm: float) -> Sketch | None:
        """Return the sketch, with the array's exact L2 norm; ``None`` if it is not finite."""
        values = self._lanes if self._size <= ROWS else _project(self._lanes)
        if not (math.isfinite(norm) and np.isfinite(values).all()):
            return None
        return Sketch(norm=norm, values=tuple(values.tolist()))


def sketch(array: ArrayLike) -> Sketch:
    """Return the sketch of an array of any shape.

    Args:
        array: real numbers; converted to float64.

    Raises:
        UsageError: an element is not finite.
    """
    flat = np.ascontiguousarray(array, dtype=np.float64).reshape(-1)
    fold = Fold(flat.size)
    fold.add(0, flat)
    result = fold.finish(float(np.linalg.norm(flat)))
    if result is None:
        msg = "cannot sketch an array with NaN or Inf; count them and leave the sketch out"
        raise UsageError(msg)
    return result


def short_sketch(values: NDArray[np.float64]) -> tuple[float, ...]:
    """Return the sketch of at most 4,093 finite elements, shape ``(k,)``, where speed counts."""
    if values.size <= ROWS:
        return tuple(values.tolist())
    return tuple(_project(values).tolist())


def distance(a: Sketch, b: Sketch) -> float:
    """Estimate the L2 distance of two arrays of equal shape from their sketches.

    By the law of cosines, ``(|a| - |b|)^2 + |a| |b| |a/|a| - b/|b||^2``: the part that comes from
    the norms is exact, so that a pure change of scale is, too; the sketches estimate only the part
    that comes from the direction, with a standard deviation of an eighth. Exact up to 32 elements.

    Raises:
        UsageError: the sketches are of arrays of different sizes.
    """
    if len(a.values) != len(b.values):
        msg = f"sketches of {len(a.values)} and {len(b.values)} values cannot be compared"
        raise UsageError(msg)
    turn = 0.0
    if a.norm > 0 and b.norm > 0:
        turn = math.sqrt(a.norm) * math.sqrt(b.norm) * _turn([(a, b)], a.norm, b.norm)
    return math.hypot(a.norm - b.norm, turn)


def cosine(a: Sketch, b: Sketch) -> float:
    """Estimate the cosine of the angle between two arrays; ``nan`` where one is zero.

    From the estimated distance of the two arrays scaled to unit length, which stays sharp for
    small angles, where the cosine of the two sketches would drown in their own spread.
    """
    return _cosine([(a, b)], a.norm, b.norm)


def total_cosine(pairs: Sequence[tuple[Sketch, Sketch]]) -> float:
    """Estimate the cosine between two collections of arrays, pair by pair of equal shapes."""
    norms = (math.hypot(*(p[i].norm for p in pairs)) for i in (0, 1))
    return _cosine(pairs, *norms)


def _cosine(pairs: Sequence[tuple[Sketch, Sketch]], a: float, b: float) -> float:
    """Return the cosine of two collections of norms `a` and `b`."""
    if a == 0 or b == 0:
        return math.nan
    return max(-1.0, 1.0 - _turn(pairs, a, b) ** 2 / 2.0)


def _turn(pairs: Sequence[tuple[Sketch, Sketch]], a: float, b: float) -> float:
    """Return the distance of two collections that are scaled to unit length."""
    return math.hypot(
        *(x / a - y / b for p, q in pairs for x, y in zip(p.values, q.values, strict=True))
    )


def signs(start: int, count: int, key: int = KEY) -> NDArray[np.float64]:
    """Return ``sign(key, i)`` for `count` indices from `start` on, shape ``(count,)``."""
    first, offset = divmod(start, 64)
    words = _words(first, (offset + count + 63) // 64, key)
    table = _byte_signs().take(words.astype("<u8", copy=False).view(np.uint8), axis=0)
    return table.reshape(-1)[offset : offset + count]


@lru_cache(maxsize=64)
def _words(first: int, count: int, key: int) -> NDArray[np.uint64]:
    """Return `count` hash words from index `first` on; every parameter begins with the same."""
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


def _project(lanes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the 32 signed sums of the lanes, shape ``(32,)``."""
    sums: NDArray[np.float64] = lanes @ _row_signs()[: lanes.size]
    return sums / math.sqrt(ROWS)


@cache
def _byte_signs() -> NDArray[np.float64]:
    """Return the signs that each byte stands for, least significant bit first, ``(256, 8)``."""
    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little")
    table: NDArray[np.float64] = 1.0 - 2.0 * bits.astype(np.float64)
    return table


@cache
def _row_signs() -> NDArray[np.float64]:
    """Return ``sign(row_key(j), l)``, shape ``(4093, 32)``: 1 MB, made once."""
    mask = (1 << 64) - 1
    keys = (KEY ^ ((j + 1) * 0xD1342543DE82EF95 & mask) for j in range(ROWS))
    return np.stack([signs(0, LANES, key) for key in keys], axis=1)
