"""Reduce the gradients of loss components to norms, shares and cosines.

Requirements:
    Cosines are exact, not estimated from sketches: a sketch of 32 numbers leaves a standard
    deviation of 0.18 between unrelated gradients, more than a `balance` limit can use.
"""

from __future__ import annotations

import math
from itertools import combinations, product
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from pytest_gradcheck.records import ArrayView, ComponentEvaluation, ComponentStats, Push
from pytest_gradcheck.stats import kernels

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from pytest_gradcheck.stats.kernels import Memory

__all__ = ["component_stats"]

_WINDOW: Final = 16 * 1024  # a multiple of `kernels.TRACKS`
_LEAST: Final = -1000  # exponent; the scale of smaller elements would not be finite


def component_stats(components: Mapping[str, ComponentEvaluation]) -> tuple[ComponentStats, ...]:
    """Return value, gradient norm, share and cosines of every component, by parameter too.

    Args:
        components: by name; their gradients are read twice, once for the largest elements.
    """
    if not components:
        return ()
    names = list(components)
    found = {
        parameter: _products(
            {
                name: view
                for name, c in components.items()
                if (view := c.grads.get(parameter)) is not None
            }
        )
        for parameter in dict.fromkeys(p for c in components.values() for p in c.grads)
    }
    norms = {name: math.hypot(*(p.norms.get(name, 0.0) for p in found.values())) for name in names}
    in_each = {parameter: math.fsum(p.norms.values()) for parameter, p in found.items()}
    whole = math.fsum(norms.values())
    pointing = [name for name in names if 0 < norms[name] < math.inf]
    cosines = dict.fromkeys(product(names, names), 0.0) | {(n, n): 1.0 for n in pointing}
    for one, other in combinations(pointing, 2):
        cosines[one, other] = cosines[other, one] = _cosine(one, other, found.values(), norms)
    bad = {name: tuple(p for p, at in found.items() if name in at.nonfinite) for name in names}
    return tuple(
        ComponentStats(
            name=name,
            value=component.value,
            norm=norms[name],
            share=_share(norms[name], whole),
            finite=math.isfinite(component.value) and not bad[name],
            cosines=tuple(cosines[name, other] for other in names),
            nonfinite=bad[name],
            pushes=tuple(
                Push(parameter=p, norm=norm, share=_share(norm, in_each[p]))
                for p in component.grads
                if (norm := found[p].norms.get(name)) is not None
            ),
        )
        for name, component in components.items()
    )


def _share(part: float, whole: float) -> float:
    """Return a part of a whole, 0 of nothing."""
    return part / whole if whole > 0 else 0.0


class _Products(NamedTuple):
    """Hold what the components' gradients in one parameter are to each other."""

    norms: dict[str, float]  # L2, of the finite elements
    cosines: dict[tuple[str, str], float]  # of those that are not zero, the earlier name first
    nonfinite: frozenset[str]


def _products(views: Mapping[str, ArrayView]) -> _Products:
    """Return norms and cosines of gradients in one parameter, by name of the component.

    Elements are scaled by a power of two, so that no square can overflow or vanish.
    """
    if not views:
        return _Products({}, {}, frozenset())
    peaks = {name: _peak(view) for name, view in views.items()}
    exponents = [max(math.frexp(peak)[1], _LEAST) for peak, _ in peaks.values()]
    scales = [math.ldexp(1.0, -e) for e in exponents]
    sums = np.zeros((len(views), len(views), kernels.TRACKS))
    for rows in _rows(list(views.values())):
        kernels.add_products(rows, scales, sums)
    dots = sums.sum(axis=-1).tolist()
    lengths = [math.sqrt(dots[i][i]) for i in range(len(views))]
    return _Products(
        norms={
            name: length * math.ldexp(1.0, e - 1) * 2.0
            for name, length, e in zip(views, lengths, exponents, strict=True)
        },
        cosines={
            (one, other): dots[i][j] / (lengths[i] * lengths[j])
            for (i, one), (j, other) in combinations(enumerate(views), 2)
            if lengths[i] and lengths[j]
        },
        nonfinite=frozenset(name for name, (_, finite) in peaks.items() if not finite),
    )


def _peak(view: ArrayView) -> tuple[float, bool]:
    """Return the largest finite absolute value, and whether all are finite."""
    largest, finite = 0.0, True
    if memory := _lying(view):
        peak, _, nonfinite = kernels.compiled.survey(memory)
        if not nonfinite:
            return peak, True
    for _, values in view.chunks(_WINDOW):
        peak, _, nonfinite = kernels.peak_of(values)
        if nonfinite:
            finite, sizes = False, np.abs(values)
            peak = float(sizes.max(initial=0.0, where=np.isfinite(sizes)))
        largest = max(largest, peak)
    return largest, finite


def _cosine(one: str, other: str, found: Iterable[_Products], norms: Mapping[str, float]) -> float:
    """Return the cosine of two components, the earlier one first, over all parameters."""
    whole = math.fsum(
        cosine * (at.norms[one] / norms[one]) * (at.norms[other] / norms[other])
        for at in found
        if (cosine := at.cosines.get((one, other))) is not None
    )
    return min(max(whole, -1.0), 1.0)


def _rows(views: Sequence[ArrayView]) -> Iterator[Sequence[NDArray[np.floating] | Memory]]:
    """Yield the elements of arrays of one shape: where they lie, or in windows of equal places."""
    lying = [where for view in views if (where := _lying(view))]
    if len(lying) == len(views):
        yield lying
    else:
        yield from zip(*map(_windows, views), strict=True)


def _lying(view: ArrayView) -> Memory | None:
    """Return where the elements lie, ``None`` where no compiled loop can read them there."""
    return None if kernels.compiled is None else getattr(view, "memory", None)


def _windows(view: ArrayView) -> Iterator[NDArray[np.float64]]:
    """Yield the whole array in windows of equal places, zeros where no chunk covers it."""
    window = np.zeros(min(_WINDOW, view.size))
    done = 0
    for first, chunk in view.chunks(_WINDOW):
        start, values = first, chunk
        while values.size:
            while start >= done + window.size:
                yield window
                done += window.size
                window = np.zeros(min(_WINDOW, view.size - done))
            fits = min(values.size, done + window.size - start)
            window[start - done : start - done + fits] = values[:fits]
            start, values = start + fits, values[fits:]
    while window.size:
        yield window
        done += window.size
        window = np.zeros(min(_WINDOW, view.size - done))
