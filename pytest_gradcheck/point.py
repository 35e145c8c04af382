"""Show numpy arrays to the statistics, and put an objective at a point that is given.

Requirements:
    A point names parameters, or single elements of them; what it does not name stays where it is.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pytest_gradcheck.errors import UsageError, UsageTypeError

if TYPE_CHECKING:
    from pytest_gradcheck.records import ArrayView, Evaluation, Objective, Origin

__all__ = [
    "CHUNK",
    "NumpyView",
    "at_point",
    "to_numpy",
    "unknown_name",
]

CHUNK = 16 * 1024

_PLAIN = {np.dtype(np.float32), np.dtype(np.float64)}
_ELEMENT = re.compile(r"(?P<name>.+)\[(?P<index>\d+(?:, ?\d+)*)\]")

Point: TypeAlias = "Mapping[str, NDArray[np.floating]]"


@dataclasses.dataclass(frozen=True, slots=True)
class NumpyView:
    """Show a numpy array to the statistics (see `ArrayView`); complex as pairs of reals."""

    array: NDArray[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the real elements."""
        pair = (2,) if np.iscomplexobj(self.array) else ()
        return (*self.array.shape, *pair)

    @property
    def dtype(self) -> str:
        """Name of the element type."""
        return self.array.dtype.name

    @property
    def size(self) -> int:
        """Number of real elements."""
        return self.array.size * (2 if np.iscomplexobj(self.array) else 1)

    @property
    def flat(self) -> NDArray[np.floating] | None:
        """The real elements in one row, ``None`` where they do not lie so."""
        plain = self.array.flags.c_contiguous and not np.iscomplexobj(self.array)
        return self.array.reshape(-1) if plain else None

    @property
    def memory(self) -> tuple[int, int, int] | None:
        """Where float32 or float64 elements lie in one row (see `ArrayView`)."""
        array = self.array
        if array.dtype not in _PLAIN or not array.flags.c_contiguous or not array.size:
            return None
        return array.__array_interface__["data"][0], array.size, array.itemsize

    def chunks(self, size: int) -> Iterator[tuple[int, NDArray[np.floating]]]:
        """Yield ``(start, values)``; slices of the array itself where it is contiguous."""
        flat = np.ascontiguousarray(self.array).reshape(-1)
        if np.iscomplexobj(flat):
            flat = flat.view(flat.real.dtype)
        for start in range(0, flat.size, size):
            yield start, flat[start : start + size]


def to_numpy(view: ArrayView) -> NDArray[np.float64]:
    """Return a float64 copy of everything a view shows, in its shape."""
    flat = np.zeros(view.size)
    for start, values in view.chunks(CHUNK):
        flat[start : start + values.size] = values
    return flat.reshape(view.shape)


def at_point(objective: Objective, at: object) -> Objective:
    """Return the objective as seen from another point, or with other points around it.

    Args:
        objective: to move.
        at: values by parameter name, real arrays of the parameters' shapes (a complex parameter
            takes complex values or pairs), or single numbers by element, ``x[3, 1]``; what is left
            out keeps its current value. Or the name of points that the backend knows
            (`Objective.named`), which take the place of Gaussian perturbations; the point itself
            stays.

    Raises:
        UsageError: an unknown name or a wrong shape; the message lists what is allowed.
    """
    if at is None:
        return objective
    from pytest_gradcheck.pasting import pasted

    if not isinstance(at, Mapping) or hasattr(at, "posterior"):  # an InferenceData is a mapping
        if objective.named is None:
            shown = repr(at) if isinstance(at, str) else type(at).__name__
            msg = (
                f"at= takes a mapping of parameter names to values, not {shown}: a starting point, "
                f"a prior and a posterior have PyMC models, and this one is {objective.backend}"
            )
            raise UsageTypeError(msg)
        return dataclasses.replace(objective, starts=objective.named(at))
    fixed: dict[str, NDArray[np.floating]] = {}
    for key, wanted in at.items():
        name, values = _values(objective, key, wanted, fixed)
        fixed[name] = values

    def value_and_grad(point: Point | None = None, **options: Any) -> Evaluation:  # noqa: ANN401 - passed on
        return objective.value_and_grad({**fixed, **(point or {})}, **options)

    def value(point: Point | None = None, **options: Any) -> float:  # noqa: ANN401 - passed on
        return objective.value({**fixed, **(point or {})}, **options)

    def origins(point: Point | None = None) -> tuple[Origin, ...]:
        blame = objective.origins
        return () if blame is None else blame({**fixed, **(point or {})})

    return dataclasses.replace(
        objective,
        point={
            name: NumpyView(fixed[name]) if name in fixed else view
            for name, view in objective.point.items()
        },
        value_and_grad=value_and_grad,
        value=value,
        collective=objective.collective and objective.collective.whole(fixed),
        origins=None if objective.origins is None else origins,
        at="" if objective.collective else pasted(objective.point, fixed),
    )


def _element_key(key: str) -> tuple[str, tuple[int, ...]] | None:
    """Return name and index of a key such as ``x[3, 1]``, ``None`` where it is none."""
    match = _ELEMENT.fullmatch(key)
    if match is None:
        return None
    return match["name"], tuple(int(part) for part in match["index"].split(","))


def _values(
    objective: Objective, key: str, value: object, fixed: Point
) -> tuple[str, NDArray[np.floating]]:
    """Return the parameter that one entry of `at=` is about, and its values then."""
    element = None if key in objective.point else _element_key(str(key))
    if element is None or element[0] not in objective.point:
        return key, _value(objective, key, value)
    name, index = element
    values = np.array(fixed.get(name, to_numpy(objective.point[name])))
    if len(index) != values.ndim or any(i >= n for i, n in zip(index, values.shape, strict=True)):
        msg = f"at= names {key!r}, the parameter has shape {values.shape}"
        raise UsageError(msg)
    try:
        values[index] = float(np.asarray(value))
    except (TypeError, ValueError):
        msg = f"at[{key!r}] must hold one number, not {value!r:.60}"
        raise UsageTypeError(msg) from None
    return name, values


def _value(objective: Objective, name: str, value: object) -> NDArray[np.floating]:
    """Return one value of `at=` as a real array of its parameter's shape."""
    view = objective.point.get(name)
    if view is None:
        raise UsageError(unknown_name("parameter", name, objective.point, where="at="))
    if hasattr(value, "detach"):  # a tensor on any device; numpy cannot take it as it is
        tensor: Any = value.detach().cpu()
        value = tensor.float() if "bfloat16" in str(tensor.dtype) else tensor
    try:
        array = np.asarray(value)
    except ValueError:  # rows of unequal length
        array = np.asarray(None)
    if array.dtype.kind not in "fciu":
        msg = f"at[{name!r}] must hold numbers in the shape {view.shape}, not {value!r:.60}"
        raise UsageTypeError(msg)
    if np.iscomplexobj(array):
        array = np.stack([array.real, array.imag], axis=-1)
    if array.shape != view.shape:
        msg = f"at[{name!r}] has shape {array.shape}, the parameter has {view.shape}"
        raise UsageError(msg)
    return array.astype(np.float64)


def unknown_name(kind: str, name: str, known: Mapping[str, object], *, where: str) -> str:
    """Return the message for a name that is not known: the nearest one, or all of them."""
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
    for one in known:
        how = one.removeprefix(f"{name}_").removesuffix("__")  # log, of tau_log__
        if how and one == f"{name}_{how}__":
            hint = f"there is {one!r}, which is {name!r} on the unconstrained space"
    return f"{where} names no {kind} {name!r}; {hint}"
