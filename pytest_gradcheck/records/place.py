"""Where arrays lie that are reduced there: what such a place can do, and what it hands over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pytest_gradcheck.records.objective import ArrayView

__all__ = ["Gathered", "Place", "Products", "Sums"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """Hold what is known of one array that was reduced where it lies.

    The sums are of whole numbers (see `pytest_gradcheck.stats.sketch`), with zeros in the place of
    NaN and Inf; so it does not matter in which order they were added up.

    Attributes:
        size: number of real elements.
        peak: the largest finite absolute one.
        zeros: how many are zero.
        nans: how many are NaN.
        infs: how many are infinite.
        nonfinite: flat indices of the first of these, rising.
        steps: sum of the elements, in steps of ``2**-50`` of the power of two above the largest.
        squares: sum of their squares, in steps of ``2**-46``.
        lanes: sums of the lanes with the signs of each row of the sketch.
        first: flat index and value of the first element of largest size; ``None`` where no largest
            elements were asked for, or all elements are zero.
    """

    size: int
    peak: float
    zeros: int
    nans: int = 0
    infs: int = 0
    nonfinite: tuple[int, ...] = ()
    steps: int
    squares: int
    lanes: tuple[int, ...]
    first: tuple[int, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """Hold what came over from a place: sums of large arrays, and small arrays as they are.

    Attributes:
        sums: by number of the array.
        flat: the real elements of small arrays, one-dimensional arrays of numpy, by number.
        top: number, flat index and value of elements, among which are the largest of all arrays in
            `sums`; of equal ones those of the lower numbers, then indices.
    """

    sums: Mapping[int, Sums]
    flat: Mapping[int, Any]  # numpy is not imported here
    top: Sequence[tuple[int, int, float]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Products:
    """Hold what several arrays of one shape are to each other.

    Attributes:
        norms: of each, L2, of the finite elements.
        cosines: of each two that are not zero, by their numbers, the smaller one first; NaN and Inf
            count as zeros.
        finite: whether all elements of each are.
    """

    norms: tuple[float, ...]
    cosines: Mapping[tuple[int, int], float]
    finite: tuple[bool, ...]


class Place(Protocol):
    """Reduce arrays where they lie, so that little has to come over from there.

    Equal places are the same place.
    """

    @property
    def name(self) -> str:
        """What messages call it; places of one name compute alike."""
        ...

    def gather(self, views: Mapping[int, ArrayView], *, top: int) -> Gathered:
        """Return what there is to know of arrays that lie there.

        Args:
            views: of the arrays, by number.
            top: how many of the largest elements to find, 0 for none.
        """
        ...

    def products(self, groups: Sequence[Sequence[ArrayView]]) -> list[Products]:
        """Return what the arrays of each group are to each other.

        Args:
            groups: of arrays that lie there, of one shape and not empty, but of any types.
        """
        ...

    def read(self, wanted: Sequence[tuple[ArrayView, tuple[int, ...]]]) -> list[float]:
        """Return single elements of arrays that lie there, each by its multi-index."""
        ...

    def samples(self) -> Sequence[tuple[ArrayView, ArrayView]]:
        """Return arrays of every kind that lie there, each with one of the same values here."""
        ...
