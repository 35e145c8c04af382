"""Objectives of plain arrays to test with, and measurements of gradients given outright."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pytest_gradcheck.backends import objective
from pytest_gradcheck.measure import measure

if TYPE_CHECKING:
    from pytest_gradcheck.plan import Plan
    from pytest_gradcheck.records import Measurement, Objective

Arrays = Mapping[str, NDArray[Any]]
Function = Callable[[Arrays], tuple[Any, Any]]
Terms = Mapping[str, tuple[float, Mapping[str, ArrayLike | None]]]


@dataclass(frozen=True)
class SparseView:
    """Show an array of which only some runs are stored; everything between them is zero."""

    shape: tuple[int, ...]
    runs: tuple[tuple[int, tuple[float, ...]], ...]
    dtype: str = "float64"

    @property
    def size(self) -> int:
        """Number of elements, those not stored included."""
        return int(np.prod(self.shape))

    def chunks(self, size: int) -> Iterator[tuple[int, NDArray[np.floating]]]:
        """Yield the stored runs, cut to `size`."""
        for start, values in self.runs:
            for i in range(0, len(values), size):
                yield start + i, np.array(values[i : i + size])

    def dense(self) -> NDArray[np.float64]:
        """Return the whole array."""
        flat = np.zeros(self.size)
        for start, values in self.runs:
            flat[start : start + len(values)] = values
        return flat.reshape(self.shape)


class Counted:
    """Count how often a function is called."""

    def __init__(self, function: Function) -> None:
        """Wrap a function."""
        self.function = function
        self.calls = 0

    def __call__(self, point: Arrays) -> tuple[Any, Any]:
        """Count and pass on."""
        self.calls += 1
        return self.function(point)


def of(function: Function, arrays: Mapping[str, ArrayLike], **options: Any) -> Objective:
    """Return the objective of a function of named arrays."""
    named = {name: np.asarray(array) for name, array in arrays.items()}
    return objective(named, value_and_grad=function, **options)


def half_square(point: Arrays) -> tuple[float, Arrays]:
    """Return half the squared norm, whose gradient is the point itself."""
    return 0.5 * sum(float(np.sum(a * a)) for a in point.values()), dict(point)


def bowl(**arrays: ArrayLike) -> Objective:
    """Return half the squared norm of some arrays as an objective."""
    return of(half_square, {k: np.asarray(v, dtype=float) for k, v in arrays.items()})


def given(
    grads: Mapping[str, ArrayLike | None],
    *,
    value: float = 1.0,
    terms: Terms | None = None,
    point: Mapping[str, ArrayLike] | None = None,
    plan: Plan | None = None,
) -> Measurement:
    """Return the measurement of a gradient that is the same everywhere.

    Args:
        grads: by parameter; what is no array becomes one of float64.
        value: of the loss.
        terms: value and gradients of named components, in place of `value` and `grads`.
        point: the parameters; ones by default, two of them where the gradient is ``None``.
        plan: of the measurement.
    """
    return measure(constant(grads, value=value, terms=terms, point=point), plan)


def constant(
    grads: Mapping[str, ArrayLike | None],
    *,
    value: float = 1.0,
    terms: Terms | None = None,
    point: Mapping[str, ArrayLike] | None = None,
) -> Objective:
    """Return an objective whose gradient is the same everywhere; see `given`."""
    whole = {k: None if g is None else np.asarray(g) for k, g in grads.items()}
    at = {k: np.ones(2) if g is None else np.ones_like(g) for k, g in whole.items()}
    at |= {k: np.asarray(v) for k, v in (point or {}).items()}

    def cast(p: Arrays, found: Mapping[str, ArrayLike | None]) -> Mapping[str, object]:
        return {k: None if g is None else np.asarray(g, p[k].dtype) for k, g in found.items()}

    def function(p: Arrays) -> tuple[Any, Any]:
        if terms is None:
            return value, cast(p, whole)
        return {k: v for k, (v, _) in terms.items()}, {k: cast(p, g) for k, (_, g) in terms.items()}

    return of(function, at)
