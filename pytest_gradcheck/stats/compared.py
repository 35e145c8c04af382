"""Multiply arrays with each other where they lie: here, or on an accelerator say.

Requirements:
    Where all arrays of a group lie in one place, they are multiplied there, all groups at once. A
    place is trusted (`trust`) if it finds the same elements to be finite, and norms and cosines
    that differ by no more than the order in which numbers are added up.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Final

from pytest_gradcheck.stats.products import products
from pytest_gradcheck.stats.trust import Trust, place_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_gradcheck.records import ArrayView, Place, Products

__all__ = ["TRUST", "compared"]

_CLOSE: Final = 1e-12  # rounding of a million products in float64 is less, in float32 far more


def compared(groups: Sequence[Sequence[ArrayView]]) -> list[Products]:
    """Return what the arrays of each group are to each other.

    Args:
        groups: of one shape each, none empty.
    """
    done: dict[int, Products] = {}
    afar: dict[Place, list[int]] = {}
    for number, group in enumerate(groups):
        place = place_of(group[0])
        if place is not None and group[0].size and all(place_of(v) == place for v in group):
            afar.setdefault(place, []).append(number)
    for place, numbers in afar.items():
        there = TRUST.use(place, partial(place.products, [groups[n] for n in numbers]))
        done |= zip(numbers, there or (), strict=there is not None)
    return [done[n] if n in done else products(group) for n, group in enumerate(groups)]


def _difference(place: Place) -> str:
    """Return how what a place computes differs from what is computed here; empty if it does not."""
    alike: dict[tuple[int, ...], list[tuple[ArrayView, ArrayView]]] = {}
    for pair in place.samples():
        alike.setdefault(pair[1].shape, []).append(pair)
    found = place.products([[view for view, _ in pairs] for pairs in alike.values()])
    for there, pairs in zip(found, alike.values(), strict=True):
        here = products([view for _, view in pairs])
        if wrong := _other(there, here):
            dtypes = ", ".join(dict.fromkeys(view.dtype for _, view in pairs))
            return f"a trial gave {wrong} of {dtypes} numbers there"
    return ""


def _other(there: Products, here: Products) -> str:
    """Return what differs by more than rounding explains, in the words of a message."""
    if there.finite != here.finite:
        return "NaN or Inf in other places"
    for norm, wanted in zip(there.norms, here.norms, strict=True):
        if not math.isclose(norm, wanted, rel_tol=_CLOSE):
            return f"a norm of {norm}, not {wanted},"
    for pair, wanted in here.cosines.items():
        cosine = there.cosines.get(pair, math.nan)
        if not math.isclose(cosine, wanted, rel_tol=0.0, abs_tol=_CLOSE):
            return f"a cosine of {cosine}, not {wanted},"
    return ""


TRUST: Final = Trust("gradients of components", _difference)
"""The places that have shown that they multiply arrays as it is done here."""
