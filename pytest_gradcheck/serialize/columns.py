"""Turn parameters, points and replicates into the forms in which they are written, and back.

Requirements:
    Exact both ways, like everything in `values`: the sign of a zero and the bits of a NaN included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from pytest_gradcheck.records import Element, ParameterStats, PointStats, Push
from pytest_gradcheck.records.replicates import ParameterReplicates
from pytest_gradcheck.serialize.forms import (
    HistogramColumns,
    ParameterColumns,
    Parted,
    PointColumns,
    PushColumns,
    ReplicateColumns,
)
from pytest_gradcheck.serialize.leaves import refuse
from pytest_gradcheck.serialize.rows import (
    MISSING,
    decoded,
    encoded,
    extent,
    parted,
    rows_of,
    sketches_of,
    uneven,
)

__all__ = ["FORMS", "Form"]


@dataclass(frozen=True, slots=True)
class Form:
    """Hold how the values of one type are written: as those of another, which is in the file.

    Attributes:
        shape: the other type.
        pack, unpack: turn a value into one of the other type, and back.
        kind: what a value is, or what each of the tuple of values is.
        several: whether it is a tuple.
    """

    shape: type[Any]
    pack: Callable[[Any], Any]
    unpack: Callable[[Any], Any]
    kind: type[Any]
    several: bool = False


def _columns(parameters: Sequence[ParameterStats]) -> ParameterColumns:
    """Return the columns of some parameters."""
    top = [(i, e) for i, p in enumerate(parameters) for e in p.top]
    bad = [(i, index) for i, p in enumerate(parameters) for index in p.nonfinite]
    at, where = tuple([e.at for _, e in top]), tuple([e.where for _, e in top])
    return ParameterColumns(
        name=tuple([p.name for p in parameters]),
        shape=tuple([p.shape for p in parameters]),
        dtype=tuple([p.dtype for p in parameters]),
        norm=tuple([p.norm for p in parameters]),
        max_abs=tuple([p.max_abs for p in parameters]),
        mean=tuple([p.mean for p in parameters]),
        zeros=_counts([p.zeros for p in parameters]),
        nans=_counts([p.nans for p in parameters]),
        infs=_counts([p.infs for p in parameters]),
        disconnected=tuple([i for i, p in enumerate(parameters) if p.disconnected]),
        top_of=tuple([i for i, _ in top]),
        top_index=tuple([e.index for _, e in top]),
        top_value=tuple([e.value for _, e in top]),
        top_at=at if any(one is not None for one in at) else (),
        top_where=where if any(where) else (),
        nonfinite_of=tuple([i for i, _ in bad]),
        nonfinite=tuple([index for _, index in bad]),
        sketch=parted([p.sketch for p in parameters]),
    )


def _parameters(columns: ParameterColumns) -> tuple[ParameterStats, ...]:
    """Return the parameters that columns hold."""
    count, listed = len(columns.name), len(columns.top_of)
    names = ("shape", "dtype", "norm", "max_abs", "mean")
    of = {name: _column(columns, name, count) for name in names}
    of |= {name: _column(columns, name, count, 0) for name in ("zeros", "nans", "infs")}
    index, value = (_column(columns, f"top_{name}", listed) for name in ("index", "value"))
    at, where = _column(columns, "top_at", listed, None), _column(columns, "top_where", listed, "")
    elements = (
        Element(index=i, value=v, at=a, where=w)
        for i, v, a, w in zip(index, value, at, where, strict=True)
    )
    top = _grouped(columns.top_of, elements, count)
    positions = _column(columns, "nonfinite", len(columns.nonfinite_of))
    bad = _grouped(columns.nonfinite_of, positions, count)
    cut, sketches = set(columns.disconnected), sketches_of(columns.sketch)
    if len(sketches) != count:
        uneven("sketch", len(sketches), count)
    return tuple(
        [
            ParameterStats(
                name=name,
                **{field: column[i] for field, column in of.items()},
                disconnected=i in cut,
                top=tuple(top.get(i, ())),
                nonfinite=tuple(bad.get(i, ())),
                sketch=sketches[i],
            )
            for i, name in enumerate(columns.name)
        ]
    )


def _point(point: PointStats) -> PointColumns:
    """Return the form of a point."""
    return PointColumns(
        dtypes=point.dtypes,
        sketches=parted(point.sketches),
        values=None if point.values is None else encoded(point.values),
    )


def _point_of(form: PointColumns) -> PointStats:
    """Return the point of a form."""
    sketches = sketches_of(form.sketches)
    if None in sketches:
        refuse("a sketch of every parameter", MISSING)
    values = None if form.values is None else decoded(form.values)
    return PointStats(dtypes=form.dtypes, sketches=tuple(filter(None, sketches)), values=values)


def _replicates(parameter: ParameterReplicates) -> ReplicateColumns:
    """Return the form of a parameter under every seed."""
    return ReplicateColumns(
        name=parameter.name,
        size=parameter.size,
        mean_norm=parameter.mean_norm,
        variance=parameter.variance,
        norms=parameter.norms,
        sketches=Parted(
            sizes=tuple(map(len, parameter.sketches)),
            numbers=encoded([*chain.from_iterable(parameter.sketches)]),
        ),
    )


def _replicates_of(form: ReplicateColumns) -> ParameterReplicates:
    """Return the parameter of a form."""
    return ParameterReplicates(
        name=form.name,
        size=form.size,
        mean_norm=form.mean_norm,
        variance=form.variance,
        norms=form.norms,
        sketches=tuple(row or () for row in rows_of(form.sketches)),
    )


def _histograms(histograms: Mapping[str, tuple[int, ...]]) -> HistogramColumns:
    """Return the columns of histograms, without the empty bins at both ends."""
    every = list(histograms.values())
    ends = [extent(counts) for counts in every]
    return HistogramColumns(
        name=tuple(histograms),
        bins=tuple(map(len, every)),
        first=tuple([first for first, _ in ends]),
        counts=tuple([c[i:j] for c, (i, j) in zip(every, ends, strict=True)]),
    )


def _pushes(pushes: Sequence[Push]) -> PushColumns:
    """Return the columns of what a component does to each parameter."""
    return PushColumns(
        parameter=tuple([one.parameter for one in pushes]),
        norm=tuple([one.norm for one in pushes]),
        share=tuple([one.share for one in pushes]),
    )


def _pushes_of(columns: PushColumns) -> tuple[Push, ...]:
    """Return the pushes that columns hold."""
    names = columns.parameter
    norms, shares = (_column(columns, name, len(names)) for name in ("norm", "share"))
    return tuple(
        [
            Push(parameter=name, norm=norm, share=share)
            for name, norm, share in zip(names, norms, shares, strict=True)
        ]
    )


def _histograms_of(columns: HistogramColumns) -> dict[str, tuple[int, ...]]:
    """Return the histograms that columns hold."""
    found = {}
    for i, name in enumerate(columns.name):
        bins, first = (_column(columns, what, len(columns.name))[i] for what in ("bins", "first"))
        counts = _column(columns, "counts", len(columns.name))[i]
        if not 0 <= first <= bins - len(counts):
            refuse(f"a place for {len(counts)} of {bins} bins", first)
        found[name] = (0,) * first + counts + (0,) * (bins - first - len(counts))
    return found


def _counts(column: Sequence[int]) -> tuple[int, ...]:
    """Return a column, empty where it holds nothing but zeros."""
    return tuple(column) if any(column) else ()


def _column(columns: object, name: str, count: int, *default: object) -> Sequence[Any]:
    """Return a column of the right length, made of its default where it is empty."""
    column: Sequence[Any] = getattr(columns, name)
    if default and not column:
        return default * count
    if len(column) != count:
        uneven(name, len(column), count)
    return column


def _grouped(owners: Sequence[int], parts: Iterable[Any], count: int) -> Mapping[int, list[Any]]:
    """Return parts by the number of the parameter that they are of."""
    found: dict[int, list[Any]] = {}
    for owner, part in zip(owners, parts, strict=True):
        if not 0 <= owner < count:
            refuse(f"the number of one of {count} parameters", owner)
        found.setdefault(owner, []).append(part)
    return found


FORMS: Mapping[Any, Form] = {
    tuple[ParameterStats, ...]: Form(
        ParameterColumns, _columns, _parameters, ParameterStats, several=True
    ),
    tuple[Push, ...]: Form(PushColumns, _pushes, _pushes_of, Push, several=True),
    PointStats: Form(PointColumns, _point, _point_of, PointStats),
    ParameterReplicates: Form(ReplicateColumns, _replicates, _replicates_of, ParameterReplicates),
    Mapping[str, tuple[int, ...]]: Form(HistogramColumns, _histograms, _histograms_of, Mapping),
}
"""The types that are written in another form than their fields, with that form."""
