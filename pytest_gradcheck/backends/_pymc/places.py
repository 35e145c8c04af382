"""Name elements of parameters and rows of data as the model does, with the values there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pytensor.tensor as pt
from pytensor.graph.basic import Constant
from pytensor.tensor.random.op import RandomVariable

from pytest_gradcheck.backends._pymc import graph
from pytest_gradcheck.backends._pymc.words import number

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pymc import Model
    from pytensor.graph.basic import Variable

__all__ = ["Places"]

Index = Sequence[int]
_SHOWN = 3


class Places:
    """Know the dimensions, coordinates, transforms and data of one model."""

    def __init__(self, model: Model) -> None:
        """Read the model."""
        self._model = model
        self._owners = {value.name: rv for rv, value in model.rvs_to_values.items()}
        self.observed = {rv.name: model.rvs_to_values[rv] for rv in model.observed_RVs}

    def coordinates(self, name: str, index: Index, shape: tuple[int, ...]) -> str:
        """Return the coordinates of an element of a parameter: ``school=C``; empty without any."""
        return self._labels(index, self._dims(self._owners[name], shape))

    def element(self, name: str, index: Index, dims: Sequence[str | None] = ()) -> str:
        """Return an element with its coordinates: ``theta[2] (school=C)``."""
        where = f"[{', '.join(map(str, index))}]" if len(index) else ""
        labels = self._labels(index, dims)
        return f"{name}{where}" + (f" ({labels})" if labels else "")

    def _labels(self, index: Index, dims: Sequence[str | None]) -> str:
        """Return where an index stands along dimensions."""
        labels = [
            f"{dim}={self._model.coords[dim][i]}"
            for dim, i in zip(dims, index, strict=False)
            if dim is not None and len(self._model.coords.get(dim) or ()) > i
        ]
        return ", ".join(labels)

    def parameter(self, name: str, index: Index, values: NDArray[Any]) -> str:
        """Return an element of a parameter with its value, unconstrained and constrained.

        Args:
            name: of the value variable.
            index: of the element.
            values: of the whole parameter.
        """
        rv = self._owners[name]
        free = self._natural(rv, values)
        dims = self._dims(rv, values.shape)
        text = f"{self.element(name, index, dims)} = {number(values[tuple(index)])}"
        if free is None or free.shape != values.shape:
            return text
        where = f"[{', '.join(map(str, index))}]" if len(index) else ""
        return f"{text}, so {rv.name}{where} = {number(free[tuple(index)])}"

    def rows(self, term: str, indices: Sequence[Index]) -> tuple[str, ...]:
        """Return the first rows of a term's data with their values."""
        data = self.data(term)
        if data is None or not data.ndim:
            return ()
        if len(indices) == data.size > 1:
            return (f"all {data.size} of {term}",)
        rv = self._model.named_vars[term]
        dims = self._dims(rv, data.shape)
        found = [
            f"{self.element(term, index, dims)} = {number(data[tuple(index)])}"
            for index in indices[:_SHOWN]
        ]
        more = len(indices) - len(found)
        return (*found, f"{more} more") if more > 0 else tuple(found)

    def data(self, term: str) -> NDArray[Any] | None:
        """Return what was observed of a term, ``None`` where nothing fixed was."""
        value = self.observed.get(term)
        if isinstance(value, Constant):
            return np.asarray(value.data)
        if value is not None and hasattr(value, "get_value"):
            return np.asarray(value.get_value(borrow=True))
        return None

    def named(self, variable: Variable) -> str:
        """Return the name of data or of a constant, empty where it has none."""
        if isinstance(variable, Constant):
            values = np.asarray(variable.data)
            if values.ndim:
                data = ((name, self.data(name)) for name in self.observed)
                same = (n for n, d in data if d is not None and _same(values, d))
                return str(next(same, ""))
            return ""
        return str(variable.name or "").partition("{")[0]

    def _dims(self, rv: Variable, shape: tuple[int, ...]) -> Sequence[str | None]:
        """Return the dimensions of a variable where they fit a shape."""
        dims: Sequence[str | None] = self._model.named_vars_to_dims.get(rv.name) or ()
        coords: Mapping[str, Any] = self._model.coords
        sizes = tuple(len(coords.get(dim) or ()) or None for dim in dims if dim is not None)
        fits = len(sizes) == len(dims) == len(shape) and all(
            size in {None, length} for size, length in zip(sizes, shape, strict=True)
        )
        return dims if fits else ()

    def _natural(self, rv: Variable, values: NDArray[Any]) -> NDArray[Any] | None:
        """Return values in the space of the model; ``None`` where they are there or cannot be."""
        transform = self._model.rvs_to_transforms.get(rv)
        if transform is None:
            return None
        try:
            natural = transform.backward(pt.constant(values), *rv.owner.inputs)
            if any(
                isinstance(getattr(v.owner, "op", None), RandomVariable)
                for v in graph.dependencies([natural])
            ):
                return None
            return graph.evaluated(natural)
        except Exception:  # noqa: BLE001 - a courtesy: a transform of the user's may do anything
            return None


def _same(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Return whether two arrays hold the same numbers, whatever axes of length one they have."""
    a, b = np.squeeze(a), np.squeeze(b)
    return a.shape == b.shape and a.dtype.kind in "fiub" and np.array_equal(a, b, equal_nan=True)
