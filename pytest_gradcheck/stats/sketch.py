"""Reduce an array to 32 numbers from which its distance to another array can be estimated.

The sketch is linear: the sketch of a difference is the difference of the sketches, up to the
rounding of the elements to steps of ``2**-50`` of the largest. It addresses every element by its
index in the flat C order of the whole parameter and adds whole numbers only. So parts of an array
can be folded where they lie, in any order and in any framework, and added up to the same bits.

Construction, version 1. Of an array g of n elements, in unsigned 64-bit arithmetic that wraps
around::

    mix(z):        z ^= z >> 30;  z *= 0xBF58476D1CE4E5B9
                   z ^= z >> 27;  z *= 0x94D049BB133111EB
                   z ^= z >> 31
    word(key, w) = mix(key + (w + 1) * 0x9E3779B97F4A7C15)
    sign(key, i) = 1 - 2 * (bit i % 64, least significant first, of word(key, i // 64))
    row_key(j)   = key ^ ((j + 1) * 0xD1342543DE82EF95)

then, in whole numbers of any length (``round`` to the nearest one, ties to even)::

    e            = the smallest whole number with |g[i]| < 2**e for all i; 0 if all are zero
    k[i]         = round(g[i] * 2**(50 - e))
    p            = the first of 4093, 4091, 4079, 4073 that does not divide n, else the last
    n <= 4093:   lane[i] = k[i]
    otherwise:   lane[l] = sum of sign(key, i) * k[i] over all i with i % p == l
    sum[j]       = sum of sign(row_key(j), l) * lane[l] over all l
    square       = sum of round(g[i] * g[i] * 2**(46 - 2 * e)) over all i

and last in float64, each operation rounded once::

    n <= 32:     value[i] = g[i], and norm = sqrt(sum of (g[i] / 2**e)**2, rounded once) * 2**e
    otherwise:   value[j] = float(sum[j]) * 2**(e - 50) / sqrt(32)
                 norm     = sqrt(float(square)) * 2**(e - 23)

with ``key = 1``; ``g[i] * g[i]`` is rounded to float64 before it is rounded to a whole number.
Parts of one array have to agree on n and e first.

``mix`` is the output function of SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom
number generators", OOPSLA 2014). Folding with random signs, then projecting on random signs, keeps
the expected squared length (Achlioptas, "Database-friendly random projections", 2003). The number
of lanes is prime and no factor of n, so that what repeats along an axis, a column of a matrix say,
does not fall into one lane. Sums that do not depend on their order by rounding the terms first:
Demmel and Nguyen, "Fast reproducible floating-point summation", ARITH 2013.

Test vectors: ``word(1, 0) == 0x910A2DEC89025CC1``; ``word(row_key(0), 0) == 0xD5B37C315D75FA51``;
the sketch of ``1.0, 2.0, ..., 10000.0`` has the norm 577393.5702794065 and begins with
-8012.22693762477, -41387.313456239215, 26463.117732515944, exactly.

Requirements:
    Stored sketches outlive this code: a change of the construction is a new version.
    32 values underestimate a distance by half once in 200,000 times.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.stats.fold import Fold
from pytest_gradcheck.stats.project import finished

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from pytest_gradcheck.records import Sketch

__all__ = ["cosine", "distance", "sketch", "total_cosine"]


def sketch(array: ArrayLike) -> Sketch:
    """Return the sketch of an array of any shape.

    Args:
        array: real numbers; converted to float64.

    Raises:
        UsageError: an element is not finite.
    """
    flat = np.ascontiguousarray(array, dtype=np.float64).reshape(-1)
    peak = float(np.abs(flat).max(initial=0.0))
    result = None
    if math.isfinite(peak):
        fold = Fold(flat.size, peak)
        fold.add(0, flat)
        (result,) = finished([fold])
    if result is None:
        msg = "cannot sketch an array with NaN or Inf; count them and leave the sketch out"
        raise UsageError(msg)
    return result


def distance(a: Sketch, b: Sketch) -> float:
    """Estimate the L2 distance of two arrays of equal shape from their sketches.

    By the law of cosines, ``(|a| - |b|)^2 + |a| |b| |a/|a| - b/|b||^2``: the part that comes from
    the norms is exact, so that a pure change of scale is, too; the sketches estimate only the part
    that comes from the direction, with a standard deviation of an eighth. Exact up to 32 elements.

    Raises:
        UsageError: the sketches are of arrays of different sizes.
    """
    if a == b:
        return 0.0  # as nearly always, where nothing changed
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
    return math.dist(
        [x / a for one, _ in pairs for x in one.values],
        [y / b for _, other in pairs for y in other.values],
    )
