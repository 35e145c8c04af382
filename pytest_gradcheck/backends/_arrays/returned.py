"""Read what a user's ``value_and_grad`` returned, and say what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_gradcheck.errors import UsageError, UsageTypeError
from pytest_gradcheck.point import NumpyView, unknown_name
from pytest_gradcheck.records import ArrayView, ComponentEvaluation, Evaluation
from pytest_gradcheck.weighing import weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Returned"]


class Returned:
    """Turn one result into an evaluation, and remember in which precision it came."""

    def __init__(
        self,
        label: str,
        wrt: tuple[str, ...],
        arrays: Mapping[str, NDArray[Any]],
        dtypes: Mapping[str, np.dtype[Any]],
    ) -> None:
        """Expect gradients for some arrays.

        Args:
            label: of the objective.
            wrt: names of the parameters, in order.
            arrays: all of them by name, for their shapes.
            dtypes: that the function was given.
        """
        self.label = label
        self.wrt = wrt
        self.arrays = arrays
        self.eps = max(float(np.finfo(dtypes[name]).eps) for name in wrt)

    def evaluation(self, result: object) -> Evaluation:
        """Return the evaluation that a result stands for.

        Raises:
            UsageError: the result is not value and gradients, or does not fit the parameters.
        """
        if not (isinstance(result, tuple) and len(result) == 2):  # noqa: PLR2004 - a pair
            msg = f"'{self.label}' must return (value, gradients), not {result!r:.80}"
            raise UsageTypeError(msg)
        value, grads = result
        if isinstance(value, Mapping):
            return self._sum(value, grads)
        number = self._scalar(value, "the value")
        return Evaluation(value=number, grads=self._grads(grads), eps=self.eps)

    def _sum(self, values: Mapping[Any, object], grads: object) -> Evaluation:
        """Return the evaluation of several components, whose sum is the objective."""
        reported = values.get("weights")
        if reported is not None and np.size(reported) != 1:  # type: ignore[arg-type] # anything goes
            weights(reported)  # how samples count, which is no component
            values = {key: value for key, value in values.items() if key != "weights"}
        if not values:
            msg = f"value_and_grad of '{self.label}' returned no components; return at least one"
            raise UsageError(msg)
        if not isinstance(grads, Mapping) or set(values) != set(grads):
            found = f"of {list(grads)}" if isinstance(grads, Mapping) else f"{grads!r:.60}"
            msg = f"'{self.label}' returned components {list(values)}, but gradients {found}"
            raise UsageError(msg)
        if len(set(map(str, values))) < len(values):
            msg = f"components of '{self.label}' collide: {list(values)}; name them by strings"
            raise UsageError(msg)
        parts = {
            str(key): ComponentEvaluation(
                value=self._scalar(value, f"component {key!r}"), grads=self._grads(grads[key])
            )
            for key, value in values.items()
        }
        total: dict[str, ArrayView | None] = {}
        for name in self.wrt:
            views = [v for p in parts.values() if isinstance(v := p.grads[name], NumpyView)]
            total[name] = NumpyView(np.sum([v.array for v in views], axis=0)) if views else None
        value = sum(p.value for p in parts.values())
        return Evaluation(value=value, grads=total, components=parts, eps=self.eps)

    def _scalar(self, value: object, what: str) -> float:
        """Return a scalar as float."""
        array = np.asarray(value)
        if array.size != 1 or array.dtype.kind not in "fiu":
            msg = (
                f"{what} of '{self.label}' has shape {array.shape} and dtype {array.dtype}; "
                "reduce it to one real number"
            )
            raise UsageTypeError(msg)
        self._see(array)
        return float(array.reshape(()))

    def _grads(self, grads: object) -> dict[str, ArrayView | None]:
        """Return the gradients in order, checked against the parameters."""
        if not isinstance(grads, Mapping):
            msg = f"gradients of '{self.label}' must be a mapping by name, not {grads!r:.60}"
            raise UsageTypeError(msg)
        views: dict[str, ArrayView | None] = {}
        for name in grads:
            if name not in self.arrays:
                raise UsageError(unknown_name("parameter", name, self.arrays, where="the gradient"))
        for name in self.wrt:
            if name not in grads:
                msg = f"no gradient for {name!r} of '{self.label}'; return None if disconnected"
                raise UsageError(msg)
            views[name] = None if grads[name] is None else self._view(name, grads[name])
        return views

    def _view(self, name: str, grad: object) -> ArrayView:
        """Return one gradient as a view, its shape and dtype checked."""
        array = np.array(grad)  # a copy: the function may write its next gradient to the same place
        if array.dtype.kind in "iu":
            array = array.astype(np.float64)
        wanted = self.arrays[name]
        if array.shape != wanted.shape or array.dtype.kind != wanted.dtype.kind:
            msg = (
                f"gradient of {name!r} has shape {array.shape} and dtype {array.dtype}; "
                f"the parameter has {wanted.shape} and {wanted.dtype}"
            )
            raise UsageError(msg)
        self._see(array)
        return NumpyView(array)

    def _see(self, array: NDArray[Any]) -> None:
        """Remember the coarsest precision that anything came in."""
        if array.dtype.kind in "fc":
            self.eps = max(self.eps, float(np.finfo(array.dtype).eps))
