"""Reduce arrays that lie in one row by a single call each, where loops are compiled.

What it returns is what `pytest_gradcheck.stats.totals` returns, bit for bit; that is where every
array goes that cannot be reduced here.
"""

from __future__ import annotations

import os
import threading
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import numpy as np

from pytest_gradcheck.records import ArrayView, Sketch
from pytest_gradcheck.stats import kernels
from pytest_gradcheck.stats.fold import mean_of
from pytest_gradcheck.stats.signs import ROWS
from pytest_gradcheck.stats.totals import Reduced
from pytest_gradcheck.stats.whole import HALF, lanes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from pytest_gradcheck.stats.largest import Largest

__all__ = ["reduced_at_once", "sketches_at_once"]

_SHARED: Final = 2**22  # elements from which on several threads are worth their start
_MOST_THREADS: Final = 8  # memory, not arithmetic, is what they wait for

Found: TypeAlias = tuple[float, int, int, int, float, tuple[float, ...], int, int]
Look: TypeAlias = "Callable[[int, NDArray[np.floating], Found], None]"
T = TypeVar("T")


def reduced_at_once(views: Mapping[int, ArrayView], largest: Largest) -> dict[int, Reduced]:
    """Return all there is to know of gradients, without those that take more than one call.

    Args:
        views: of the gradients, by number of the parameter.
        largest: keeps the largest elements.
    """
    lock, seen = threading.Lock(), set()

    def look(number: int, flat: NDArray[np.floating], found: Found) -> None:
        with lock:
            seen.add(number)
            largest.note(number, found[1], found[0])
            if largest.wants(number, abs(found[0])):
                largest.add(number, 0, flat, abs(found[0]))

    reductions = _found(views, look if largest.count else None)
    for number, found in reductions.items():
        largest.note(number, found[1], found[0])
    largest.raise_bar()
    done = {}
    for number, found in reductions.items():
        extreme, _, zeros, exponent, norm, values, high, low = found
        view: Any = views[number]
        peak = abs(extreme)
        if number not in seen and largest.wants(number, peak):
            where = view.memory if largest.count <= kernels.TOP else view.flat
            largest.add(number, 0, where, peak)
        mean = mean_of((high << HALF) + low, view.size, exponent)
        done[number] = Reduced(norm, mean, Sketch(norm=norm, values=values), peak, zeros)
    return done


def sketches_at_once(views: Mapping[int, ArrayView]) -> dict[int, Sketch]:
    """Return the sketches of arrays, without those that take more than one call."""
    return {
        number: Sketch(norm=found[4], values=found[5])
        for number, found in _found(views, None).items()
    }


def _found(views: Mapping[int, ArrayView], look: Look | None) -> dict[int, Found]:
    """Return what the reductions of arrays returned.

    Args:
        views: of the arrays, by number.
        look: at each that was copied, while its elements are here; the others stay where they are.
    """
    if kernels.compiled is None:
        return {}
    reduce = kernels.compiled.reduce

    def one(number: int) -> Found | None:
        view = views[number]
        found: Found | None
        if (memory := getattr(view, "memory", None)) is not None:
            found = reduce(memory, lanes_of(memory[1]))
            return found
        flat = getattr(view, "flat", None)
        if flat is None:
            return None
        if not kernels.fits(flat):
            if flat.dtype != np.float16:
                return None
            flat = flat.astype(np.float32)
        found = reduce(flat, lanes_of(flat.size))
        if found is not None and look is not None:
            look(number, flat, found)
        return found

    sizes = {i: size for i, view in views.items() if ROWS < (size := view.size) <= kernels.BLOCK}
    done = zip(sizes, _mapped(one, list(sizes), sum(sizes.values())), strict=True)
    return {number: found for number, found in done if found is not None}


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
