"""Reduce arrays that lie in one row by a single call each, where loops are compiled.

What it returns is what `pytest_gradcheck.stats.totals` returns, bit for bit; that is where every
array goes that cannot be reduced here.
"""

from __future__ import annotations

import math
import os
import threading
from functools import cache
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

import numpy as np

from pytest_gradcheck.records import ArrayView, Sketch
from pytest_gradcheck.stats import kernels
from pytest_gradcheck.stats.fold import SQUARE_BITS, STEP_BITS
from pytest_gradcheck.stats.signs import ROWS
from pytest_gradcheck.stats.totals import Reduced, Survey
from pytest_gradcheck.stats.whole import HALF, lanes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from pytest_gradcheck.stats.largest import Largest

__all__ = ["reduced_at_once", "sketches_at_once"]

_SHARED: Final = 2**22  # elements from which on several threads are worth their start
_MOST_THREADS: Final = 8  # memory, not arithmetic, is what they wait for

Found: TypeAlias = tuple[float, int, int, tuple[float, ...], int, int, int, int]
Look: TypeAlias = "Callable[[int, NDArray[np.floating], float], None]"
T = TypeVar("T")


def reduced_at_once(views: Mapping[int, ArrayView], largest: Largest) -> dict[int, Reduced]:
    """Return all there is to know of gradients, without those that take more than one call.

    Args:
        views: of the gradients, by number of the parameter.
        largest: keeps the largest elements.
    """
    lock = threading.Lock()

    def look(number: int, flat: NDArray[np.floating], peak: float) -> None:
        with lock:
            if largest.wants(number, peak):
                largest.add(number, 0, flat, peak)

    done = {}
    for number, found in _found(views, look).items():
        peak, zeros, exponent, values, *squares, steps_high, steps_low = found
        size = views[number].size
        survey = Survey(size)
        survey.max_abs, survey.zeros = peak, zeros
        sketch = Sketch(norm=_norm(squares, exponent), values=values)
        mean = math.ldexp(((steps_high << HALF) + steps_low) / size, exponent - STEP_BITS)
        done[number] = Reduced(survey=survey, norm=sketch.norm, mean=mean, sketch=sketch)
    return done


def sketches_at_once(views: Mapping[int, ArrayView]) -> dict[int, Sketch]:
    """Return the sketches of arrays, without those that take more than one call."""
    done = {}
    for number, found in _found(views, lambda *_: None).items():
        _, _, exponent, values, *squares, _, _ = found
        done[number] = Sketch(norm=_norm(squares, exponent), values=values)
    return done


def _found(views: Mapping[int, ArrayView], look: Look) -> dict[int, Found]:
    """Return what the reductions of arrays returned, each looked at while its elements are here."""
    if kernels.compiled is None:
        return {}

    def one(number: int) -> Found | None:
        flat = getattr(views[number], "flat", None)
        if flat is None:
            return None
        if not kernels.fits(flat):
            if flat.dtype != np.float16:
                return None
            flat = flat.astype(np.float32)
        found: Found | None = kernels.compiled.reduce(flat, lanes_of(flat.size))
        if found is not None:
            look(number, flat, found[0])
        return found

    numbers = [i for i, view in views.items() if ROWS < view.size <= kernels.BLOCK]
    size = sum(views[i].size for i in numbers)
    return {
        i: found
        for i, found in zip(numbers, _mapped(one, numbers, size), strict=True)
        if found is not None
    }


def _mapped(function: Callable[[int], T], numbers: Sequence[int], size: int) -> Iterable[T]:
    """Apply a function that lets go of the interpreter, in several threads where that pays."""
    threads = min(_threads(), len(numbers))
    if threads < 2 or size < _SHARED:  # noqa: PLR2004
        return map(function, numbers)
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, numbers))


@cache
def _threads() -> int:
    """Return how many threads this process may use: ``OMP_NUM_THREADS``, as torch and BLAS do."""
    wanted = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(int(wanted) if wanted.isdecimal() else here, here, _MOST_THREADS)


def _norm(squares: list[int], exponent: int) -> float:
    """Return the L2 norm from the halves of the sum of squares."""
    high, low = squares
    return math.ldexp(math.sqrt((high << HALF) + low), exponent - SQUARE_BITS // 2)
