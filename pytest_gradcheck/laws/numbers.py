"""Laws about the numbers: shapes, chunks, values, gradients, components, precision."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_gradcheck.errors import PrecisionError
from pytest_gradcheck.laws.evidence import (
    bits,
    collected,
    completed,
    every_gradient,
    points_of,
    require,
    require_grads,
    require_value,
)
from pytest_gradcheck.measure.numeric import EPS
from pytest_gradcheck.moves import direction
from pytest_gradcheck.point import to_numpy

if TYPE_CHECKING:
    from pytest_gradcheck.records import ArrayView
    from pytest_gradcheck.testing import Scenario

_SIZES = (1, 3, 7, 1_000_000)
_FLOATS = ("float16", "float32", "float64")
_WIDE = ("float64", "complex128")
_WIDE_RTOL = 1e-9
_MARGIN = 1e3  # times eps ** (2 / 3), the error of a central difference at its best step


def shapes_are_those_of_the_parameters(scenario: Scenario) -> None:
    """Every gradient has its parameter's shape, and parameters keep their order."""
    made = scenario.build(0)
    for what, grads in every_gradient(made.value_and_grad()):
        wanted = list(made.point)
        require(scenario, list(grads) == wanted, f"{what} names {list(grads)}, not {wanted}")
        for name, view in grads.items():
            shape = made.point[name].shape
            right = view is None or (view.shape == shape and view.size == math.prod(shape))
            require(scenario, right, f"{what} of {name!r} does not have the shape {shape}")


def chunks_cover_everything_in_order(scenario: Scenario) -> None:
    """Chunks rise, keep to their size, are flat floats, and hold the same whatever their size."""
    made = scenario.build(0)
    for what, views in (("the point", made.point), *every_gradient(made.value_and_grad())):
        for name, view in views.items():
            for size in _SIZES:
                _require_chunks(scenario, f"{what} of {name!r} in chunks of {size}", view, size)


def values_are_right(scenario: Scenario) -> None:
    """The value is the closed form's, at the point, elsewhere, and where one parameter moved."""
    made = scenario.build(0)
    for point in points_of(made):
        wanted = scenario.expected(completed(made, point)).value
        value, both = made.value(point), made.value_and_grad(point).value
        require_value(scenario, "value()", value, wanted, scenario.rtol)
        require_value(scenario, "the value of value_and_grad()", both, wanted, scenario.rtol)


def gradients_are_right(scenario: Scenario) -> None:
    """Gradients are the closed form's, at the point, elsewhere, and where one parameter moved."""
    made = scenario.build(0)
    for point in points_of(made):
        wanted = scenario.expected(completed(made, point))
        require_grads(scenario, made.value_and_grad(point).grads, wanted, scenario.rtol)


def none_means_disconnected(scenario: Scenario) -> None:
    """``None`` stands for a parameter that is not connected, and for nothing else."""
    made = scenario.build(0)
    wanted = scenario.expected(completed(made, {}))
    evaluation = made.value_and_grad()
    pairs = [("the loss", evaluation.grads, wanted.grads)]
    pairs += [
        (f"component {name!r}", evaluation.components[name].grads, part.grads)
        for name, part in wanted.components.items()
        if name in evaluation.components
    ]
    for what, grads, right in pairs:
        seen = [name for name, view in grads.items() if view is None]
        lost = [name for name, array in right.items() if array is None]
        require(scenario, seen == lost, f"{what} is disconnected from {seen}, not from {lost}")


def components_are_right(scenario: Scenario) -> None:
    """Components are the closed form's, in order; without them no component has a gradient."""
    made = scenario.build(0)
    for point in points_of(made):
        evaluation = made.value_and_grad(point)
        wanted = scenario.expected(completed(made, point)).components
        names = list(evaluation.components)
        require(scenario, names == list(wanted), f"components are {names}, not {list(wanted)}")
        for name, part in evaluation.components.items():
            value = wanted[name].value
            require_value(scenario, f"component {name!r}", part.value, value, scenario.rtol)
            require_grads(scenario, part.grads, wanted[name], scenario.rtol)
    bare = made.value_and_grad(components=False)
    grads = [name for name, part in bare.components.items() if part.grads]
    require(scenario, not grads, f"components=False still differentiates {grads}")
    same = bits(bare, components=False) == bits(made.value_and_grad(), components=False)
    require(scenario, same, "components=False changes the gradient")


def directional_derivatives_agree(scenario: Scenario) -> None:
    """The gradient along a direction is what central differences of the value say."""
    made = scenario.build(0)
    options: dict[str, Any] = {"precision": "float64"}
    eps = EPS["float64"]
    try:
        evaluation = made.value_and_grad(**options)
    except PrecisionError:
        options, evaluation = {}, made.value_and_grad()
        eps = max(EPS[view.dtype] for view in made.point.values())
    along = direction(made, seed=0)
    terms = [
        (to_numpy(view) * along[name]).ravel()
        for name, view in evaluation.grads.items()
        if view is not None
    ]
    analytic = math.fsum(np.concatenate(terms)) if terms else 0.0
    size = math.fsum(np.abs(np.concatenate(terms))) if terms else 0.0
    step = eps ** (1 / 3)
    up, down = (
        made.value(
            {n: to_numpy(v) + sign * step * along[n] for n, v in made.point.items()}, **options
        )
        for sign in (1, -1)
    )
    numeric = (up - down) / (2 * step)
    allowed = _MARGIN * eps ** (2 / 3) * (size + abs(evaluation.value))
    require(
        scenario,
        abs(analytic - numeric) <= allowed,
        f"the analytic directional derivative is {analytic!r}, the numeric one {numeric!r}",
    )


def float64_is_float64_or_an_error(scenario: Scenario) -> None:
    """In float64 every result is in float64 and precise, or `PrecisionError` says why not."""
    made = scenario.build(0)
    for point in points_of(made):
        try:
            evaluation = made.value_and_grad(point, precision="float64")
        except PrecisionError as error:
            require(scenario, bool(str(error)), "PrecisionError does not say why")
            continue
        wanted = scenario.expected(completed(made, point))
        for name, view in evaluation.grads.items():
            narrow = view is not None and view.dtype not in _WIDE
            require(scenario, not narrow, f"the float64 gradient of {name!r} is narrower")
        require_grads(scenario, evaluation.grads, wanted, _WIDE_RTOL)
        for value in (evaluation.value, made.value(point, precision="float64")):
            require_value(scenario, "the float64 value", value, wanted.value, _WIDE_RTOL)


def _require_chunks(scenario: Scenario, what: str, view: ArrayView | None, size: int) -> None:
    """Require the chunks of one size to be as `ArrayView` promises."""
    if view is None:
        return
    end = 0
    for start, values in view.chunks(size):
        right = (
            end <= start
            and 0 < values.size <= size
            and values.ndim == 1
            and str(values.dtype) in _FLOATS
        )
        require(scenario, right, f"{what} has {values.dtype}{values.shape} at {start}")
        end = start + values.size
    require(scenario, end <= view.size, f"{what} has {end} elements, not {view.size}")
    same = collected(view, size) == collected(view, max(1, view.size))
    require(scenario, same, f"{what} shows other values than in one chunk")
