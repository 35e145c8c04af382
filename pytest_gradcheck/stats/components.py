"""Reduce the gradients of loss components to norms, shares and cosines.

Requirements:
    Cosines are exact, not estimated from sketches: a sketch of 32 numbers leaves a standard
    deviation of 0.18 between unrelated gradients, more than a `balance` limit can use.
"""

from __future__ import annotations

import math
from itertools import combinations, product
from typing import TYPE_CHECKING, NamedTuple

from pytest_gradcheck.records import ComponentEvaluation, ComponentStats, Products, Push
from pytest_gradcheck.stats.compared import compared

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

__all__ = ["component_stats"]


def component_stats(components: Mapping[str, ComponentEvaluation]) -> tuple[ComponentStats, ...]:
    """Return value, gradient norm, share and cosines of every component, by parameter too.

    Args:
        components: by name; their gradients are read twice, once for the largest elements.
    """
    if not components:
        return ()
    found = _in_each(list(components.values()))
    numbers = range(len(components))
    norms = [math.hypot(*(p.norms.get(n, 0.0) for p in found.values())) for n in numbers]
    in_each = {parameter: math.fsum(p.norms.values()) for parameter, p in found.items()}
    whole = math.fsum(norms)
    pointing = [n for n in numbers if 0 < norms[n] < math.inf]
    cosines = dict.fromkeys(product(numbers, numbers), 0.0) | {(n, n): 1.0 for n in pointing}
    for pair in combinations(pointing, 2):
        cosines[pair] = cosines[pair[::-1]] = _cosine(pair, found.values(), norms)
    bad = [tuple(p for p, at in found.items() if n in at.nonfinite) for n in numbers]
    return tuple(
        ComponentStats(
            name=name,
            value=component.value,
            norm=norms[n],
            share=_share(norms[n], whole),
            finite=math.isfinite(component.value) and not bad[n],
            cosines=tuple(cosines[n, other] for other in numbers),
            nonfinite=bad[n],
            pushes=tuple(
                Push(parameter=p, norm=norm, share=_share(norm, in_each[p]))
                for p in component.grads
                if (norm := found[p].norms.get(n)) is not None
            ),
        )
        for n, (name, component) in enumerate(components.items())
    )


def _share(part: float, whole: float) -> float:
    """Return a part of a whole, 0 of nothing."""
    return part / whole if whole > 0 else 0.0


class _InOne(NamedTuple):
    """Hold what the components' gradients in one parameter are to each other, by their numbers."""

    norms: Mapping[int, float]  # L2, of the finite elements
    cosines: Mapping[tuple[int, int], float]  # of those that are not zero, the smaller number first
    nonfinite: Collection[int]


def _in_each(components: Sequence[ComponentEvaluation]) -> dict[str, _InOne]:
    """Return what the components' gradients are to each other, by parameter."""
    views = {
        parameter: {
            n: view
            for n, c in enumerate(components)
            if (view := c.grads.get(parameter)) is not None
        }
        for parameter in dict.fromkeys(p for c in components for p in c.grads)
    }
    reached = {parameter: here for parameter, here in views.items() if here}
    found = dict.fromkeys(views, _InOne({}, {}, ()))
    multiplied = compared([list(here.values()) for here in reached.values()])
    for (parameter, here), products in zip(reached.items(), multiplied, strict=True):
        found[parameter] = _numbered(list(here), products)
    return found


def _numbered(numbers: Sequence[int], products: Products) -> _InOne:
    """Return products by the numbers that the components have among all of them."""
    cosines = products.cosines
    if numbers[-1] >= len(numbers):  # some are missing here
        cosines = {(numbers[i], numbers[j]): cosine for (i, j), cosine in cosines.items()}
    return _InOne(
        norms=dict(zip(numbers, products.norms, strict=True)),
        cosines=cosines,
        nonfinite=[n for n, finite in zip(numbers, products.finite, strict=True) if not finite],
    )


def _cosine(pair: tuple[int, int], found: Iterable[_InOne], norms: Sequence[float]) -> float:
    """Return the cosine of two components, the smaller number first, over all parameters."""
    one, other = pair
    whole = math.fsum(
        cosine * (at.norms[one] / norms[one]) * (at.norms[other] / norms[other])
        for at in found
        if (cosine := at.cosines.get(pair)) is not None
    )
    return min(max(whole, -1.0), 1.0)
