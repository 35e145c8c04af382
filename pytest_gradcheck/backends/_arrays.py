"""Plain arrays: any framework, as named values and a function that returns value and gradients.

Requirements:
    The function may return components: a mapping of values, and for each its own mapping of
    gradients. A gradient of ``None`` is disconnected; a name left out is an error, because a
    forgotten key would look like a parameter that no gradient reaches.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np

from pytest_gradcheck.backends import select
from pytest_gradcheck.errors import UsageError, UsageTypeError
from pytest_gradcheck.point import NumpyView, unknown_name
from pytest_gradcheck.records import (
    ArrayView,
    ComponentEvaluation,
    Evaluation,
    Jitter,
    Objective,
    Precision,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ROOTS", "objective"]

ROOTS = ("numpy", "builtins")

Point: TypeAlias = "Mapping[str, NDArray[Any]]"


def objective(
    source: Mapping[str, object],
    *,
    loss: object,
    value_and_grad: Callable[..., Any] | None,
    wrt: tuple[str, ...] | None,
    name: str | None,
    seed: int,
    mode: object,
    data: object,
) -> Objective:
    """Make an objective of named arrays.

    Args:
        source: floating-point or complex arrays by name; whole numbers are not differentiable.
        loss: must be ``None``.
        value_and_grad: called with all arrays by name (copies), returns ``(value, gradients)``.
        wrt: patterns of the parameters to differentiate with respect to.
        name: what messages call it.
        seed: of Python's and numpy's global generators.
        mode: must be ``None``.
        data: must be ``None``.
    """
    label = name or "arrays"
    for option, given in (("loss", loss), ("mode", mode), ("data", data)):
        if given is not None:
            msg = f"plain arrays have no use for {option}=; pass value_and_grad=, a function"
            raise UsageTypeError(msg)
    if not callable(value_and_grad):
        msg = (
            f"'{label}': plain arrays need value_and_grad=, a function that takes the arrays by "
            "name and returns (value, {name: gradient})"
        )
        raise UsageTypeError(msg)
    arrays = {str(key): _parameter(str(key), value) for key, value in source.items()}
    function = _Function(label, arrays, tuple(select(list(arrays), wrt)), value_and_grad, seed)
    return Objective(
        name=label,
        backend="arrays",
        device="cpu",
        point={key: NumpyView(arrays[key]) for key in function.wrt},
        value_and_grad=function.value_and_grad,
        value=function.value,
        seed=seed,
        packages={"numpy": np.__version__},
    )


def _parameter(name: str, value: object) -> NDArray[Any]:
    """Return one parameter as an array, or say why it cannot be one."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        msg = f"parameter {name!r} is no array: {error}"
        raise UsageTypeError(msg) from None
    if array.dtype.kind not in "fc":
        msg = f"parameter {name!r} has dtype {array.dtype}; gradients need floating-point values"
        raise UsageTypeError(msg)
    return array


class _Function:
    """Evaluate the user's function at points, and read what it returns."""

    def __init__(
        self,
        label: str,
        arrays: Mapping[str, NDArray[Any]],
        wrt: tuple[str, ...],
        function: Callable[..., Any],
        seed: int,
    ) -> None:
        self.label = label
        self.arrays = arrays
        self.wrt = wrt
        self.function = function
        self.seed = seed

    def value(self, point: Point | None = None, *, precision: Precision = "native") -> float:
        """Return the value alone."""
        return self.value_and_grad(point, components=False, precision=precision).value

    def value_and_grad(
        self,
        point: Point | None = None,
        *,
        components: bool = True,
        precision: Precision = "native",
        jitter: Jitter | None = None,
    ) -> Evaluation:
        """Return value, gradients and components at a point."""
        del jitter  # the function holds its other inputs where nobody can see them
        result = self._call(self._inputs(point or {}, precision))
        if not (isinstance(result, tuple) and len(result) == 2):  # noqa: PLR2004 - a pair
            msg = f"'{self.label}' must return (value, gradients), not {result!r:.80}"
            raise UsageTypeError(msg)
        value, grads = result
        if isinstance(value, Mapping):
            return self._sum(value, grads, components=components)
        return Evaluation(value=self._scalar(value, "the value"), grads=self._grads(grads))

    def _inputs(self, point: Point, precision: Precision) -> dict[str, NDArray[Any]]:
        """Return fresh arrays for one call, at the point and in the precision asked for."""
        inputs = {}
        for key, array in self.arrays.items():
            dtype = array.dtype
            if precision == "float64":
                dtype = np.result_type(dtype, np.float64)
            moved = point.get(key)
            if moved is None:
                inputs[key] = array.astype(dtype)
            elif dtype.kind == "c":
                inputs[key] = (moved[..., 0] + 1j * moved[..., 1]).astype(dtype)
            else:
                inputs[key] = moved.astype(dtype)
        return inputs

    def _call(self, inputs: dict[str, NDArray[Any]]) -> Any:  # noqa: ANN401 - read and checked later
        """Call the user's function under its seed; an error of its own gets our context."""
        with _seeded(self.seed):
            try:
                return self.function(inputs)
            except Exception as error:
                error.add_note(f"while evaluating value_and_grad of '{self.label}' (arrays)")
                raise

    def _sum(
        self, values: Mapping[str, object], grads: Mapping[str, Any], *, components: bool
    ) -> Evaluation:
        """Return the evaluation of several components, whose sum is the objective."""
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
            views = [
                cast("NumpyView", v) for p in parts.values() if (v := p.grads[name]) is not None
            ]
            total[name] = NumpyView(np.sum([v.array for v in views], axis=0)) if views else None
        return Evaluation(
            value=sum(p.value for p in parts.values()),
            grads=total,
            components=parts if components else {},
        )

    def _scalar(self, value: object, what: str) -> float:
        """Return a scalar as float."""
        array = np.asarray(value)
        if array.size != 1 or array.dtype.kind not in "fiu":
            msg = (
                f"{what} of '{self.label}' has shape {array.shape} and dtype {array.dtype}; "
                "reduce it to one real number"
            )
            raise UsageTypeError(msg)
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
        return NumpyView(array)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the global generators of Python and numpy, and put their states back afterwards."""
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002 - the user's own
    try:
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 - the user's function may draw from it
        yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002 - put back what was there
