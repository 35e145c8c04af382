"""Walk backwards from numbers that are not finite to the operations that made them.

Only inputs that are not finite themselves are followed, element by element where an operation works
so; harmless infinities elsewhere in a graph are therefore never blamed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pytensor.graph.basic import Constant, Variable
from pytensor.scalar.basic import Mul, Switch
from pytensor.tensor.elemwise import CAReduce, DimShuffle, Elemwise

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytensor.graph.basic import Apply

__all__ = ["Root", "Trail", "roots"]

Values = Mapping[Variable, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """Hold a variable whose elements are not finite though nothing that they are made of is not.

    Attributes:
        variable: computed by the operation, or a constant, data or a parameter.
        bad: which of its elements, an array of booleans of its shape.
    """

    variable: Variable
    bad: NDArray[np.bool_]


@dataclass(slots=True)
class Trail:
    """Hold what one walk found.

    Attributes:
        found: the roots, in the order in which they were met.
        seen: every variable on the way, with its bad elements.
        masked: whether on the way a factor of zero met an infinite one.
    """

    found: list[Root] = field(default_factory=list)
    seen: dict[Variable, NDArray[np.bool_]] = field(default_factory=dict)
    masked: bool = False


def roots(variable: Variable, bad: NDArray[np.bool_], values: Values) -> Trail:
    """Return where the bad elements of a variable come from.

    Args:
        variable: an output.
        bad: which of its elements to explain, of its shape.
        values: what every variable of the graph was.
    """
    trail = Trail()
    stack = [(variable, bad)]
    while stack:
        current, mask = stack.pop()
        known = trail.seen.get(current)
        new = mask if known is None else mask & ~known
        if not new.any():
            continue
        trail.seen[current] = new if known is None else known | new
        left = new
        for source, part in _guilty(current, new, values, trail):
            stack.append((source, part[0]))
            left = left & ~part[1]
        if left.any():
            trail.found.append(Root(variable=current, bad=left))
    return trail


def _guilty(
    variable: Variable, bad: NDArray[np.bool_], values: Values, trail: Trail
) -> Iterator[tuple[Variable, tuple[NDArray[np.bool_], NDArray[np.bool_]]]]:
    """Yield inputs to blame: with their bad elements, and those of the output that they explain."""
    node = variable.owner
    if node is None:
        return
    if isinstance(node.op, Elemwise):
        yield from _elementwise(node, bad, values, trail)
        return
    for source in node.inputs:
        wrong = nonfinite(values.get(source, source))
        if wrong.any():
            part = _placed(node, bad, wrong)
            yield source, (part if part.any() else wrong, bad)


def _elementwise(
    node: Apply, bad: NDArray[np.bool_], values: Values, trail: Trail
) -> Iterator[tuple[Variable, tuple[NDArray[np.bool_], NDArray[np.bool_]]]]:
    """Yield the inputs of an element by element operation that are not finite where it is not."""
    arrays = [np.broadcast_to(_array(values.get(v, v)), bad.shape) for v in node.inputs]
    switch = isinstance(node.op.scalar_op, Switch)
    for i, (source, array) in enumerate(zip(node.inputs, arrays, strict=True)):
        wrong = bad & ~_isfinite(array)
        if switch and i:
            wrong &= arrays[0].astype(bool) == (i == 1)
        if not wrong.any() or (switch and i and _constant(source)):
            continue  # a switch that answers with a constant is the origin itself
        if isinstance(node.op.scalar_op, Mul):
            infinite = wrong & np.isinf(array)
            others = (a for j, a in enumerate(arrays) if j != i)
            trail.masked |= any((a[infinite] == 0).any() for a in others)
        yield source, (_reduced(wrong, np.shape(_array(values.get(source, source)))), wrong)


def _placed(node: Apply, bad: NDArray[np.bool_], wrong: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which bad elements of an input go into the bad ones of the output."""
    if isinstance(node.op, CAReduce):
        axes = node.op.axis
        axes = range(wrong.ndim) if axes is None else axes
        return wrong & np.expand_dims(bad, tuple(axes))
    if isinstance(node.op, DimShuffle):
        kept = [axis for axis in node.op.new_order if axis != "x"]
        order = [*kept, *node.op.drop]
        inverse = np.argsort(order)
        shape = [wrong.shape[axis] for axis in order]
        return wrong & bad.reshape(shape).transpose(inverse)
    return wrong


def nonfinite(value: Any) -> NDArray[np.bool_]:  # noqa: ANN401 - whatever a graph computes
    """Return which elements are NaN or Inf; none of what has no numbers."""
    return np.asarray(~_isfinite(_array(value)))


def _isfinite(array: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which elements are finite; all of what is no floating-point array."""
    return np.isfinite(array) if array.dtype.kind in "fc" else np.ones(array.shape, dtype=bool)


def _array(value: Any) -> NDArray[Any]:  # noqa: ANN401 - as above
    """Return a value, or that of a constant or of data, as an array."""
    if hasattr(value, "get_value"):
        value = value.get_value(borrow=True)
    elif isinstance(value, Constant):
        value = value.data
    return np.asarray(value)


def _constant(variable: Variable) -> bool:
    """Return whether a variable is a constant, perhaps with dimensions added."""
    while variable.owner is not None and isinstance(variable.owner.op, DimShuffle):
        variable = variable.owner.inputs[0]
    return isinstance(variable, Constant)


def _reduced(mask: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return a mask in the shape that it was broadcast from."""
    axes = tuple(i for i, (a, b) in enumerate(zip(mask.shape, shape, strict=True)) if a != b)
    return np.asarray(mask.any(axis=axes, keepdims=True)) if axes else mask
