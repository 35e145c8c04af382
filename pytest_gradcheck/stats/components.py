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
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["component_stats"]


def component_stats(components: Mapping[str, ComponentEvaluation]) -> tuple[ComponentStats, ...]:
    """Return value, gradient norm, share and cosines of every component, by parameter too.

    Args:
        components: by name; their gradients are read twice, once for the largest elements.
    """
    if not components:
        return ()
    names = list(components)
    found = _in_each(components)
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


class _InOne(NamedTuple):
    """Hold what the components' gradients in one parameter are to each other."""

    norms: dict[str, float]  # L2, of the finite elements
    cosines: dict[tuple[str, str], float]  # of those that are not zero, the earlier name first
    nonfinite: frozenset[str]


def _in_each(components: Mapping[str, ComponentEvaluation]) -> dict[str, _InOne]:
    """Return what the components' gradients are to each other, by parameter."""
    views = {
        parameter: {
            name: view
            for name, c in components.items()
            if (view := c.grads.get(parameter)) is not None
        }
        for parameter in dict.fromkeys(p for c in components.values() for p in c.grads)
    }
    reached = [parameter for parameter, here in views.items() if here]
    found = dict.fromkeys(views, _InOne({}, {}, frozenset()))
    multiplied = compared([list(views[parameter].values()) for parameter in reached])
    for parameter, products in zip(reached, multiplied, strict=True):
        found[parameter] = _named(list(views[parameter]), products)
    return found


def _named(names: Sequence[str], products: Products) -> _InOne:
    """Return products by the names of the components."""
    return _InOne(
        norms=dict(zip(names, products.norms, strict=True)),
        cosines={(names[i], names[j]): cosine for (i, j), cosine in products.cosines.items()},
        nonfinite=frozenset(
            name for name, finite in zip(names, products.finite, strict=True) if not finite
        ),
    )


def _cosine(one: str, other: str, found: Iterable[_InOne], norms: Mapping[str, float]) -> float:
    """Return the cosine of two components, the earlier one first, over all parameters."""
    whole = math.fsum(
        cosine * (at.norms[one] / norms[one]) * (at.norms[other] / norms[other])
        for at in found
        if (cosine := at.cosines.get((one, other))) is not None
    )
    return min(max(whole, -1.0), 1.0)
