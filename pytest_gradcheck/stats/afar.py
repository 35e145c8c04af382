"""Take in what was reduced where it lies, on an accelerator say, and make sure of its arithmetic.

Requirements:
    Before a place is used in a process, it reduces some fixed arrays that are here as well. If any
    bit differs, or anything fails, now or later, all that lies there is reduced here from then on,
    and a warning says so, once.
"""

from __future__ import annotations

import dataclasses
import warnings
from typing import TYPE_CHECKING, Final

from pytest_gradcheck.errors import GradientDeviceWarning
from pytest_gradcheck.point import NumpyView
from pytest_gradcheck.stats.fold import mean_of, norm_of
from pytest_gradcheck.stats.largest import Largest
from pytest_gradcheck.stats.project import sketch_of, sketch_values
from pytest_gradcheck.stats.totals import Reduced, reduced
from pytest_gradcheck.stats.whole import exponent_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_gradcheck.records import ArrayView, Gathered, ParameterStats, Place, Sums

__all__ = ["MOST_TOP", "place_of", "reduced_afar"]

MOST_TOP: Final = 100
"""How many largest elements are looked for where they lie; more are looked for here."""

_TRIED: Final = 20  # largest elements that are looked for in a trial
_TRUSTED: Final[dict[str, bool]] = {}


def place_of(view: ArrayView) -> Place | None:
    """Return where an array can be reduced, ``None`` where that is here."""
    place: Place | None = getattr(view, "afar", None)
    return place


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
        if largest.count > MOST_TOP or not _trusted(place):
            continue
        try:
            gathered = place.gather(group, top=largest.count)
        except Exception as error:  # noqa: BLE001 - whatever it is, here it can be done, too
            _distrust(place, f"it failed there with {type(error).__name__}: {error}")
            continue
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


def _trusted(place: Place) -> bool:
    """Whether a place has shown that it computes what is computed here."""
    if place.name not in _TRUSTED:
        try:
            wrong = _difference(place)
        except Exception as error:  # noqa: BLE001 - as above
            wrong = f"a trial failed there with {type(error).__name__}: {error}"
        _TRUSTED[place.name] = not wrong
        if wrong:
            _distrust(place, wrong)
    return _TRUSTED[place.name]


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


def _distrust(place: Place, why: str) -> None:
    """Use a place no more, and say so."""
    _TRUSTED[place.name] = False
    msg = (
        f"gradients on '{place.name}' are copied to the CPU and reduced there, as {why}; results "
        "are the same, only slower. Please report this with the versions of torch and of the driver"
    )
    warnings.warn(msg, GradientDeviceWarning, stacklevel=2)
