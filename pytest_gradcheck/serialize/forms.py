"""What stands in a report where there is much of a kind: columns, and packed rows of numbers.

A run of 500 tests with 100 parameters each has ten million numbers in its sketches. As lists of
numbers they take a minute and 300 MB to write; packed they take a second. What people and scripts
look up, names, shapes, norms, stays plain.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "HistogramColumns",
    "ParameterColumns",
    "Parted",
    "PointColumns",
    "PushColumns",
    "ReplicateColumns",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parted:
    """Hold rows of numbers.

    Attributes:
        sizes: how many numbers each row has; -1 for a row that is not there.
        numbers: all of them, one row after the other: base64 of little-endian float64.
    """

    sizes: tuple[int, ...]
    numbers: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterColumns:
    """Hold the statistics of parameters, the fields of `ParameterStats` as columns.

    Attributes:
        name, shape, dtype, norm, max_abs, mean: of each parameter.
        zeros, nans, infs: of each, or empty where none has any.
        disconnected: numbers of the parameters that are, from 0.
        top_of: for each of the largest elements, which parameter it is of.
        top_index, top_value: where it is, and the gradient there.
        top_at, top_where: the parameter there and its coordinates; empty where none is known.
        nonfinite_of, nonfinite: the same for elements that are not finite.
        sketch: a row for each: norm, then the sketch's numbers.
    """

    name: tuple[str, ...]
    shape: tuple[tuple[int, ...], ...]
    dtype: tuple[str, ...]
    norm: tuple[float, ...]
    max_abs: tuple[float, ...]
    mean: tuple[float, ...]
    zeros: tuple[int, ...] = ()
    nans: tuple[int, ...] = ()
    infs: tuple[int, ...] = ()
    disconnected: tuple[int, ...] = ()
    top_of: tuple[int, ...] = ()
    top_index: tuple[tuple[int, ...], ...] = ()
    top_value: tuple[float, ...] = ()
    top_at: tuple[float | None, ...] = ()
    top_where: tuple[str, ...] = ()
    nonfinite_of: tuple[int, ...] = ()
    nonfinite: tuple[tuple[int, ...], ...] = ()
    sketch: Parted


@dataclass(frozen=True, slots=True, kw_only=True)
class PointColumns:
    """Hold what identifies a point: as `PointStats`, each sketch a row with its norm first."""

    dtypes: tuple[str, ...]
    sketches: Parted
    values: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PushColumns:
    """Hold how hard one component pushes each parameter, the fields of `Push` as columns."""

    parameter: tuple[str, ...] = ()
    norm: tuple[float, ...] = ()
    share: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicateColumns:
    """Hold one parameter under every seed: as `ParameterReplicates`, a row of each sketch."""

    name: str
    size: int
    mean_norm: float
    variance: float
    norms: tuple[float, ...]
    sketches: Parted


@dataclass(frozen=True, slots=True, kw_only=True)
class HistogramColumns:
    """Hold how many elements of each parameter's gradient are of which size.

    Attributes:
        name: of each parameter.
        bins: how many bins its histogram has.
        first: the first one that is not empty.
        counts: from there to the last one that is not empty.
    """

    name: tuple[str, ...]
    bins: tuple[int, ...]
    first: tuple[int, ...]
    counts: tuple[tuple[int, ...], ...]
