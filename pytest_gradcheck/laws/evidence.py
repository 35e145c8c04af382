"""What the laws look at: points to visit, pictures that compare bit for bit, and the complaint.

Requirements:
    Points are moved by amounts that every floating-point type holds exactly, so that the closed
    form is compared at the very point that the backend evaluates.
"""

from __future__ import annotations

import contextlib
import math
import random
from typing import TYPE_CHECKING

import numpy as np

from pytest_gradcheck.moves import perturbed
from pytest_gradcheck.point import to_numpy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from pytest_gradcheck.records import ArrayView, Evaluation, Objective
    from pytest_gradcheck.testing import Expected, Scenario

__all__ = [
    "bits",
    "close",
    "collected",
    "completed",
    "every_gradient",
    "moved",
    "packed",
    "points_of",
    "require",
    "require_grads",
    "require_value",
    "stirred",
    "streams",
]

_FLOOR = 1e-3  # of the whole gradient: what is small beside it may be rounding

Point = dict[str, "NDArray[np.float64]"]


def require(scenario: Scenario, condition: bool, message: str) -> None:  # noqa: FBT001 - as assert
    """Raise the message unless the condition holds."""
    if not condition:
        msg = f"scenario {scenario.name!r}: {message}"
        raise AssertionError(msg)


def require_grads(
    scenario: Scenario, grads: Mapping[str, ArrayView | None], wanted: Expected, rtol: float
) -> None:
    """Require gradients to be those expected; a missing one counts as zeros here."""
    arrays = [np.asarray(array) for array in wanted.grads.values() if array is not None]
    whole = math.hypot(*(float(np.linalg.norm(array[np.isfinite(array)])) for array in arrays))
    for name, array in wanted.grads.items():
        view = grads[name]
        seen = np.zeros(() if array is None else array.shape) if view is None else to_numpy(view)
        right = np.zeros(seen.shape) if array is None else np.asarray(array, dtype=np.float64)
        message = f"the gradient of {name!r} is {_short(seen)}, not {_short(right)}"
        require(scenario, close(seen, right, rtol, atol=_FLOOR * rtol * whole), message)


def require_value(scenario: Scenario, what: str, seen: float, wanted: float, rtol: float) -> None:
    """Require a number to be the one expected."""
    right = close(np.asarray(seen), np.asarray(wanted), rtol)
    require(scenario, right, f"{what} is {seen!r}, not {wanted!r}")


def close(
    seen: NDArray[np.float64], wanted: NDArray[np.float64], rtol: float, *, atol: float = 0.0
) -> bool:
    """Return whether two arrays agree in the norm; NaN and Inf agree with their like."""
    if seen.shape != wanted.shape:
        return False
    finite = np.isfinite(wanted)
    alike = np.array_equal(seen[~finite], wanted[~finite], equal_nan=True)
    far = float(np.linalg.norm(seen[finite] - wanted[finite]))
    return alike and far <= atol + rtol * float(np.linalg.norm(wanted[finite]))


def _short(array: NDArray[np.float64]) -> str:
    """Return the first elements of an array for a message."""
    return np.array2string(array.ravel()[:4], precision=9)


def points_of(made: Objective) -> Iterator[Point]:
    """Yield the current point, one elsewhere, and one where only the last parameter moved."""
    elsewhere = moved(made)
    yield {}
    yield elsewhere
    yield {name: elsewhere[name] for name in list(elsewhere)[-1:]}


def moved(made: Objective) -> Point:
    """Return a point nearby whose values fit in eight significant bits."""
    point = {}
    for name, values in perturbed(made, scale=0.25, seed=1).items():
        mantissa, exponent = np.frexp(values)
        point[name] = np.ldexp(np.round(mantissa * 256) / 256, exponent)
    return point


def completed(made: Objective, point: Point) -> Point:
    """Return a point with the current value of every parameter that it leaves out."""
    return {name: point.get(name, to_numpy(view)) for name, view in made.point.items()}


def every_gradient(
    evaluation: Evaluation,
) -> list[tuple[str, Mapping[str, ArrayView | None]]]:
    """Return the gradients of the loss and of every component, with what to call them."""
    parts = evaluation.components.items()
    return [
        ("the gradient", evaluation.grads),
        *((f"the gradient of component {name!r}", part.grads) for name, part in parts),
    ]


def collected(view: ArrayView, size: int) -> bytes:
    """Return everything a view shows in chunks of one size, as bytes."""
    flat = np.zeros(view.size)
    for start, values in view.chunks(size):
        flat[start : start + values.size] = values
    return flat.tobytes()


def bits(evaluation: Evaluation, *, components: bool = True) -> dict[str, object]:
    """Return an evaluation as something that compares equal for equal bits only."""
    found: dict[str, object] = {"value": packed(evaluation.value)}
    for what, grads in every_gradient(evaluation)[: None if components else 1]:
        for name, view in grads.items():
            found[f"{what} {name}"] = None if view is None else to_numpy(view).tobytes()
    if components:
        found |= {name: packed(part.value) for name, part in evaluation.components.items()}
    return found


def packed(value: float) -> bytes:
    """Return the bytes of a number, so that NaN equals itself."""
    return np.float64(value).tobytes()


def streams() -> tuple[str, ...]:
    """Return the states of Python's and numpy's global streams."""
    numpy_state = np.random.get_state()  # noqa: NPY002 - the user's own stream
    return repr(random.getstate()), repr([np.asarray(part).tolist() for part in numpy_state])


@contextlib.contextmanager
def stirred() -> Iterator[None]:
    """Move the global streams of Python and numpy, and put them back."""
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002 - the user's own
    try:
        random.seed(12345)
        np.random.seed(12345)  # noqa: NPY002 - as above
        yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002 - as above
