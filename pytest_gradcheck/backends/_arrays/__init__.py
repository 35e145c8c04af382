"""Plain arrays: any framework, as named values and a function that returns value and gradients.

Requirements:
    The function may return components: a mapping of values, and for each its own mapping of
    gradients. A gradient of ``None`` is disconnected; a name left out is an error, because a
    forgotten key would look like a parameter that no gradient reaches.
    What is returned in float32 was computed in float32, whatever the parameters are in: there is
    no shadow then, and the noise is that of float32.
"""

from __future__ import annotations

import random
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from pytest_gradcheck.backends import select
from pytest_gradcheck.backends._arrays.returned import Returned
from pytest_gradcheck.backends.stream import numpy_stream
from pytest_gradcheck.errors import PrecisionError, UsageTypeError
from pytest_gradcheck.point import NumpyView
from pytest_gradcheck.records import Evaluation, Jitter, Objective, Precision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

__all__ = ["ROOTS", "objective"]

ROOTS = ("numpy", "builtins")

_FLOAT64 = 2.0**-52

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
        stream=numpy_stream,
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
        seed: int | None = None,
    ) -> Evaluation:
        """Return value, gradients and components at a point."""
        del jitter  # the function holds its other inputs where nobody can see them
        inputs = self._inputs(point or {}, precision)
        dtypes = {key: array.dtype for key, array in inputs.items()}
        result = self._call(inputs, self.seed if seed is None else seed)
        found = Returned(self.label, self.wrt, self.arrays, dtypes).evaluation(result)
        if precision == "float64" and found.eps is not None and found.eps > _FLOAT64:
            msg = f"value_and_grad of '{self.label}' computes in less than float64, given float64"
            raise PrecisionError(msg)
        return found if components else replace(found, components={})

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

    def _call(self, inputs: dict[str, NDArray[Any]], seed: int) -> Any:  # noqa: ANN401 - read and checked later
        """Call the user's function under its seed; an error of its own gets our context."""
        with _seeded(seed):
            try:
                return self.function(inputs)
            except Exception as error:
                error.add_note(f"while evaluating value_and_grad of '{self.label}' (arrays)")
                raise


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
