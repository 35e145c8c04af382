"""Reduce the gradients of loss components to norms, shares and cosines.

Requirements:
    Cosines are exact, not estimated from sketches: a sketch of 32 numbers leaves a standard
    deviation of 0.18 between unrelated gradients, more than a `balance` limit can use.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from pytest_gradcheck.records import ArrayView, ComponentEvaluation, ComponentStats, Push

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

__all__ = ["component_stats"]

_WINDOW = 16 * 1024


def component_stats(components: Mapping[str, ComponentEvaluation]) -> tuple[ComponentStats, ...]:
    """Return value, gradient norm, share and cosines of every component, by parameter too.

    Args:
        components: by name; their gradients are read twice, window by window.
    """
    if not components:
        return ()
    parts: dict[str, dict[str, float]] = {}
    bad = {}
    for name, component in components.items():
        found = {p: _norm(view) for p, view in component.grads.items() if view is not None}
        parts[name] = {p: norm for p, (norm, _) in found.items()}
        bad[name] = tuple(p for p, (_, finite) in found.items() if not finite)
    norms = {name: math.hypot(*by.values()) for name, by in parts.items()}
    parameters = dict.fromkeys(p for by in parts.values() for p in by)
    in_each = {p: math.fsum(by.get(p, 0.0) for by in parts.values()) for p in parameters}
    whole = math.fsum(norms.values())
    cosines = _cosines(components, norms)
    return tuple(
        ComponentStats(
            name=name,
            value=component.value,
            norm=norms[name],
            share=_share(norms[name], whole),
            finite=math.isfinite(component.value) and not bad[name],
            cosines=cosines[i],
            nonfinite=bad[name],
            pushes=tuple(
                Push(parameter=p, norm=norm, share=_share(norm, in_each[p]))
                for p, norm in parts[name].items()
            ),
        )
        for i, (name, component) in enumerate(components.items())
    )


def _share(part: float, whole: float) -> float:
    """Return a part of a whole, 0 of nothing."""
    return part / whole if whole > 0 else 0.0


def _norm(view: ArrayView) -> tuple[float, bool]:
    """Return the L2 norm over the finite elements, and whether all of them are."""
    norms, finite = [], True
    for _, values in view.chunks(_WINDOW):
        wide = values.astype(np.float64)
        if not np.isfinite(wide).all():
            finite, wide = False, _finite(wide)
        largest = float(np.abs(wide).max(initial=0.0))
        if largest > 0:  # scaled, so that no square can overflow
            norms.append(largest * float(np.linalg.norm(wide / largest)))
    return math.hypot(*norms), finite


def _cosines(
    components: Mapping[str, ComponentEvaluation], norms: Mapping[str, float]
) -> tuple[tuple[float, ...], ...]:
    """Return the matrix of pairwise cosines; 0 where a component has no gradient."""
    names = list(components)
    dots = np.zeros((len(names), len(names)))
    parameters = dict.fromkeys(p for c in components.values() for p in c.grads)
    for parameter in parameters:
        present = {
            i: view
            for i, name in enumerate(names)
            if norms[name] > 0 and (view := components[name].grads.get(parameter)) is not None
        }
        rows = np.fromiter(present, dtype=np.intp)
        for windows in zip(*map(_windows, present.values()), strict=True):
            unit = np.stack([w / norms[names[i]] for i, w in zip(present, windows, strict=True)])
            dots[np.ix_(rows, rows)] += unit @ unit.T
    return tuple(tuple(row) for row in np.clip(dots, -1.0, 1.0).tolist())


def _windows(view: ArrayView) -> Iterator[NDArray[np.float64]]:
    """Yield the whole array in windows of equal places, zeros where no chunk covers it."""
    window = np.zeros(min(_WINDOW, view.size))
    done = 0
    for first, chunk in view.chunks(_WINDOW):
        start, values = first, _finite(chunk.astype(np.float64))
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


def _finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the values with zeros for NaN and Inf."""
    return np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
