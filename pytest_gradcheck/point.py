"""Show numpy arrays to the statistics, and move an objective to other points.

Requirements:
    Every random choice comes from ``numpy.random.default_rng(seed)``, parameter by parameter in
    the objective's own order, so that a seed names one point for ever.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pytest_gradcheck.errors import UsageError, UsageTypeError

if TYPE_CHECKING:
    from pytest_gradcheck.records import ArrayView, Collective, Evaluation, Objective, Origin

__all__ = [
    "CHUNK",
    "NumpyView",
    "at_point",
    "direction",
    "jittered",
    "perturbation_scales",
    "perturbed",
    "to_numpy",
    "unknown_name",
]

CHUNK = 16 * 1024

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
    from pytest_gradcheck.pasting import pasted, with_element

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
        moved = with_element(objective.point, fixed, key, wanted)
        fixed |= {key: _value(objective, key, wanted)} if moved is None else moved

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
        origins=None if objective.origins is None else origins,
        at=pasted(objective.point, fixed) if objective.collective is None else "",
        collective=objective.collective and objective.collective.whole(fixed),
    )


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
    return f"{where} names no {kind} {name!r}; {hint}"


def perturbed(objective: Objective, *, scale: float, seed: int) -> dict[str, NDArray[np.float64]]:
    """Return a point nearby: Gaussian noise of `scale` times each parameter's RMS added.

    A parameter whose RMS is below ``objective.min_scale`` moves as if it had that one, so that
    zeros move too.
    """
    steps = direction(objective, seed=seed)
    return {name: to_numpy(view) + scale * steps[name] for name, view in objective.point.items()}


def direction(objective: Objective, *, seed: int) -> dict[str, NDArray[np.float64]]:
    """Return a Gaussian direction, each parameter's part scaled by its RMS."""
    rng = np.random.default_rng(seed)
    return {
        name: unit * rng.standard_normal(objective.point[name].shape)
        for name, unit in perturbation_scales(objective).items()
    }


def perturbation_scales(objective: Objective) -> dict[str, float]:
    """Return the RMS of every parameter's finite values, at least ``objective.min_scale``."""
    if objective.collective is not None:
        return _joined_scales(objective, objective.collective)
    return {
        name: max(_rms(to_numpy(view)), objective.min_scale)
        for name, view in objective.point.items()
    }


def _joined_scales(objective: Objective, ranks: Collective) -> dict[str, float]:
    """Return the RMS of every parameter over all ranks."""
    from pytest_gradcheck.stats.joined import added_lengths

    lengths, bad = [], []
    for name, view in objective.point.items():
        values = to_numpy(view)
        finite = values[np.isfinite(values)]
        lengths.append(_rms(values) * math.sqrt(finite.size) if ranks.owns(name) else 0.0)
        bad.append(float(values.size - finite.size) if ranks.owns(name) else 0.0)
    whole, lost = added_lengths(lengths, ranks), ranks.add(np.array(bad)).tolist()
    rows = zip(objective.point.items(), whole, lost, strict=True)
    return {
        name: max(length / math.sqrt(max(view.size - gone, 1)), objective.min_scale)
        for (name, view), length, gone in rows
    }


def jittered(objective: Objective, *, eps: float, seed: int) -> dict[str, NDArray[np.float64]]:
    """Return the point moved by about one unit in the last place of a precision.

    Every value is multiplied by ``1 + eps * U(-1, 1)``; a parameter that is zero everywhere, and
    every one in a space of unit scale, moves by ``eps * max(|x|, 1) * U(-1, 1)``.
    """
    rng = np.random.default_rng(seed)
    ranks = objective.collective
    points = {name: to_numpy(view) for name, view in objective.point.items()}
    some = np.array([float(values.any()) for values in points.values()])
    some = some if ranks is None else ranks.largest(some)
    moved = {}
    for (name, view), anywhere in zip(objective.point.items(), some, strict=True):
        values = points.pop(name)
        size = np.abs(values)
        if objective.min_scale >= 1.0 or not anywhere:
            size = np.maximum(size, 1.0)
        moved[name] = values + eps * size * rng.uniform(-1.0, 1.0, view.shape)
    return moved


def _rms(values: NDArray[np.float64]) -> float:
    """Return the root mean square of the finite values, 0 where there are none."""
    finite = values[np.isfinite(values)]
    largest = float(np.abs(finite).max(initial=0.0))
    if largest == 0:
        return 0.0
    return largest * float(np.linalg.norm(finite / largest)) / math.sqrt(finite.size)
