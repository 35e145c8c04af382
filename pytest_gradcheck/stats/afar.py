"""Take in gradients that were reduced where they lie, on an accelerator say.

Requirements:
    A place is trusted (`trust`) if no bit differs in what it gives.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import TYPE_CHECKING, Final

from pytest_gradcheck.point import NumpyView
from pytest_gradcheck.stats.fold import mean_of, norm_of
from pytest_gradcheck.stats.largest import Largest
from pytest_gradcheck.stats.project import sketch_of, sketch_values
from pytest_gradcheck.stats.totals import Reduced, reduced
from pytest_gradcheck.stats.trust import Trust, place_of
from pytest_gradcheck.stats.whole import exponent_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_gradcheck.records import ArrayView, Gathered, ParameterStats, Place, Sums

__all__ = ["MOST_TOP", "TRUST", "reduced_afar"]

MOST_TOP: Final = 100
"""How many largest elements are looked for where they lie; more are looked for here."""

_TRIED: Final = 20  # largest elements that are looked for in a trial


def reduced_afar(
    views: Mapping[int, ArrayView], largest: Largest
) -> tuple[dict[int, Reduced], dict[int, ArrayView]]:
    """Return all there is to know of arrays that lie elsewhere, and small ones that came over.

    Args:
        views: of the arrays, by number, these rising.
        largest: keeps the largest elements.
    """
    done: dict[int, Reduced] = {}
    near: dict[int, ArrayView] = {}
    groups: dict[Place, dict[int, ArrayView]] = {}
    for number, view in views.items():
        if (place := place_of(view)) is not None:
            groups.setdefault(place, {})[number] = view
    for place, group in groups.items():
        if largest.count > MOST_TOP:
            continue
        gathered = TRUST.use(place, partial(place.gather, group, top=largest.count))
        if gathered is not None:
            done |= _taken(gathered, largest)
            near |= {number: NumpyView(flat) for number, flat in gathered.flat.items()}
    return done, near


def _taken(gathered: Gathered, largest: Largest) -> dict[int, Reduced]:
    """Return what came over in the form that it has here."""
    largest.offer(gathered.top)
    for number, sums in gathered.sums.items():
        if sums.first is not None:
            largest.note(number, *sums.first)
    return {number: _reduced(sums) for number, sums in gathered.sums.items()}


def _reduced(sums: Sums) -> Reduced:
    """Return what is known of one array."""
    exponent = exponent_of(sums.peak)
    norm = norm_of(sums.squares, exponent)
    mean = mean_of(sums.steps, sums.size, exponent)
    sketch = sketch_of(norm, sketch_values(sums.lanes, exponent))
    counts = sums.zeros, sums.nans, sums.infs
    return Reduced(norm, mean, sketch, sums.peak, *counts, sums.nonfinite)


def _difference(place: Place) -> str:
    """Return how what a place computes differs from what is computed here; empty if it does not."""
    pairs = place.samples()
    for group, top in ((pairs, 0), (pairs, _TRIED), *(([pair], _TRIED) for pair in pairs)):
        there = _sampled([view for view, _ in group], top, place)
        here = _sampled([view for _, view in group], top, None)
        for one, other in zip(there, here, strict=True):
            if one != other:
                fields = (f.name for f in dataclasses.fields(one))
                wrong = next(n for n in fields if getattr(one, n) != getattr(other, n))
                return (
                    f"a trial gave another {wrong} of {one.dtype} numbers there: "
                    f"{getattr(one, wrong)!r:.60}, not {getattr(other, wrong)!r:.60}"
                )
    return ""


def _sampled(views: Sequence[ArrayView], top: int, place: Place | None) -> list[ParameterStats]:
    """Return the statistics of arrays, reduced in a place or here."""
    numbered = dict(enumerate(views))
    largest = Largest(top)
    done: dict[int, Reduced] = {}
    if place is not None:
        gathered = place.gather(numbered, top=top)
        done = _taken(gathered, largest)
        numbered |= {number: NumpyView(flat) for number, flat in gathered.flat.items()}
    done.update(reduced([(i, view) for i, view in numbered.items() if i not in done], largest))
    kept = largest.by_owner()
    return [done[i].stats(f"sample {i}", view, kept.get(i, ())) for i, view in enumerate(views)]


TRUST: Final = Trust("gradients", _difference)
"""The places that have shown that they reduce gradients to the same bits."""
