"""Reduce arrays that lie in one row by a single call each, where loops are compiled.

What it returns is what `pytest_gradcheck.stats.totals` returns, bit for bit; that is where every
array goes that cannot be reduced here.
"""

from __future__ import annotations

import os
import threading
from functools import cache
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

import numpy as np

from pytest_gradcheck.records import ArrayView, Sketch
from pytest_gradcheck.stats import kernels
from pytest_gradcheck.stats.fold import mean_of, norm_of
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
            largest.add(number, 0, flat, peak)

    done = {}
    for number, found in _found(views, look).items():
        peak, zeros, exponent, _, _, _, high, low = found
        size, sketch = views[number].size, _sketch(found)
        done[number] = Reduced(
            survey=Survey(size, max_abs=peak, zeros=zeros),
            norm=sketch.norm,
            mean=mean_of((high << HALF) + low, size, exponent),
            sketch=sketch,
        )
    return done


def sketches_at_once(views: Mapping[int, ArrayView]) -> dict[int, Sketch]:
    """Return the sketches of arrays, without those that take more than one call."""
    found = _found(views, lambda *_: None)
    return {number: _sketch(one) for number, one in found.items()}


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


def _sketch(found: Found) -> Sketch:
    """Return the sketch of what a reduction returned."""
    _, _, exponent, values, high, low, _, _ = found
    return Sketch(norm=norm_of((high << HALF) + low, exponent), values=values)
