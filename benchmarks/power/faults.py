"""Faults as data: what is done to the gradient of a model to break it.

Every fault is applied to the evaluated gradient, in both precisions alike, and its true size is
measured (`observed.relative_change`), not claimed. Which parameter it hits is chosen once, from the
healthy gradient: the largest, the smallest, the one in the middle, the largest matrix. A parameter
whose true gradient is zero (a bias in front of a batch normalisation) gets faults of its own.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.power.observed import Answer, norm
from pytest_gradcheck.drift.allowance import NUMERICALLY_ZERO

__all__ = ["Fault", "faults"]

Array = NDArray[np.float64]
Change = Callable[[Array], "Array | None"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Hold one way to break a model.

    Attributes:
        name: in the tables.
        apply: makes the broken answer of the healthy one.
        turns: whether only directions change: every parameter keeps the norm of its gradient.
        components: whether it needs the components.
    """

    name: str
    apply: Callable[[Answer], Answer]
    turns: bool = False
    components: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Hold which parameters are hit, largest gradient first."""

    visible: tuple[str, ...]
    turnable: tuple[str, ...]  # of two elements or more
    matrices: tuple[str, ...]  # of two rows and columns or more
    twins: tuple[str, ...]  # two of equal shape, or none
    zeros: tuple[str, ...]  # whose true gradient is zero


def faults(healthy: Answer) -> Iterator[Fault]:
    """Yield every fault that the model of a healthy answer, in float64, can have."""
    targets = _targets(healthy)
    yield from _scales(targets)
    yield from _turns(targets)
    yield from _moves(targets)
    yield from _holes(targets)
    yield from _of_the_loss()
    yield from _of_components(healthy)
    yield from _of_zeros(targets, healthy)


def _targets(healthy: Answer) -> Targets:
    """Choose the parameters."""
    arrays = {name: g for name, g in healthy.grads.items() if g is not None}
    floor = NUMERICALLY_ZERO * norm(healthy.grads)
    sizes = {name: float(np.linalg.norm(g)) for name, g in arrays.items()}
    ranked = sorted(arrays, key=lambda name: (-sizes[name], name))
    visible = tuple(name for name in ranked if sizes[name] > floor)
    pairs = ((a, b) for i, a in enumerate(visible) for b in visible[i + 1 :])
    return Targets(
        visible=visible,
        turnable=tuple(name for name in visible if arrays[name].size > 1),
        matrices=tuple(name for name in visible if min(_rows(arrays[name]).shape) > 1),
        twins=next((p for p in pairs if arrays[p[0]].shape == arrays[p[1]].shape), ()),
        zeros=tuple(name for name in ranked if sizes[name] <= floor),
    )


def _scales(targets: Targets) -> Iterator[Fault]:
    """Yield factors on one parameter, and on all of them."""
    middle, smallest = targets.visible[len(targets.visible) // 2], targets.visible[-1]
    factors = {
        "x(1+1e-3)": 1 + 1e-3,
        "x(1+1e-4)": 1 + 1e-4,
        "x(1+1e-5)": 1 + 1e-5,
        "x(1+1e-6)": 1 + 1e-6,
        "x2": 2.0,
        "x1/32": 1 / 32,
        "x32": 32.0,
    }
    for label, factor in factors.items():
        yield Fault(name=f"one {label}", apply=_on({middle}, _times(factor)))
        yield Fault(name=f"all {label}", apply=_on(targets.visible, _times(factor)))
    for label in ("x(1+1e-3)", "x(1+1e-5)"):
        yield Fault(name=f"smallest {label}", apply=_on({smallest}, _times(factors[label])))
    for name, hit in (
        ("largest sign flipped", {targets.visible[0]}),
        ("smallest sign flipped", {smallest}),
        ("all signs flipped", targets.visible),
    ):
        yield Fault(name=name, apply=_on(hit, _times(-1.0)), turns=True)


def _turns(targets: Targets) -> Iterator[Fault]:
    """Yield turns into a random direction, the norm kept."""
    if not targets.turnable:
        return
    for size in (1e-1, 1e-3, 1e-4, 1e-5, 1e-6):
        for label, hit in (("largest", targets.turnable[:1]), ("all", targets.turnable)):
            yield Fault(
                name=f"{label} turned by {size:.0e}", apply=_on(hit, _turned(size)), turns=True
            )


def _moves(targets: Targets) -> Iterator[Fault]:
    """Yield what puts elements where they do not belong."""
    if targets.turnable:
        one = {targets.turnable[0]}
        yield Fault(name="rolled by one element", apply=_on(one, _rolled), turns=True)
        yield Fault(name="one element flipped", apply=_on(one, _flipped_element), turns=True)
    if targets.matrices:
        one = {targets.matrices[0]}
        yield Fault(name="rows permuted", apply=_on(one, _permuted), turns=True)
        yield Fault(name="two rows exchanged", apply=_on(one, _exchanged), turns=True)
        yield Fault(name="one row flipped", apply=_on(one, _flipped_row), turns=True)
        yield Fault(name="transposed", apply=_on(one, _transposed), turns=True)
    if targets.twins:
        a, b = targets.twins

        def swapped(answer: Answer) -> Answer:
            grads = dict(answer.grads)
            return replace(answer, grads=grads | {a: grads[b], b: grads[a]})

        yield Fault(name="two parameters swapped", apply=swapped)


def _holes(targets: Targets) -> Iterator[Fault]:
    """Yield what loses elements, or breaks them."""
    one = {targets.visible[0]}
    if targets.turnable:
        many = {targets.turnable[0]}
        yield Fault(name="one element zeroed", apply=_on(many, _set_element(0.0)))
        yield Fault(name="a quarter zeroed", apply=_on(many, _quarter_zeroed))
        yield Fault(name="elements clipped", apply=_on(many, _clipped))
    yield Fault(name="rounded to bfloat16", apply=_on(targets.visible, _rounded))
    yield Fault(name="largest zeroed", apply=_on(one, _times(0.0)))
    yield Fault(name="smallest zeroed", apply=_on({targets.visible[-1]}, _times(0.0)))
    yield Fault(name="one disconnected", apply=_on({targets.visible[-1]}, lambda _: None))
    yield Fault(name="one NaN", apply=_on(one, _set_element(math.nan)))
    yield Fault(name="one Inf", apply=_on(one, _set_element(math.inf)))


def _of_the_loss() -> Iterator[Fault]:
    """Yield changes of the value, alone and with its gradient."""

    def value(answer: Answer) -> Answer:
        return replace(answer, value=1.001 * answer.value)

    def both(answer: Answer) -> Answer:
        every = _on(answer.grads, _times(1.001))
        return every(value(answer))

    yield Fault(name="loss x1.001, gradient unchanged", apply=value)
    yield Fault(name="loss and gradient x1.001", apply=both)


def _of_components(healthy: Answer) -> Iterator[Fault]:
    """Yield changes of the component with the largest gradient, and of the smallest."""
    sizes = {name: norm(grads) for name, (_, grads) in healthy.components.items()}
    ranked = sorted((name for name in sizes if sizes[name] > 0), key=lambda name: -sizes[name])
    if len(ranked) < 2:  # noqa: PLR2004 - one component is the loss itself
        return
    for label, name in (("largest", ranked[0]), ("smallest", ranked[-1])):
        for what, factor in (("x1.001", 1.001), ("x2", 2.0), ("dropped", 0.0), ("negative", -1.0)):
            yield Fault(
                name=f"{label} component {what}",
                apply=_component(name, factor),
                components=True,
            )


def _of_zeros(targets: Targets, healthy: Answer) -> Iterator[Fault]:
    """Yield faults of a parameter whose true gradient is zero; some of them nobody could see."""
    if not targets.zeros:
        return
    one, whole = {targets.zeros[0]}, norm(healthy.grads)
    yield Fault(name="zero parameter x2", apply=_on(one, _times(2.0)))
    yield Fault(name="zero parameter flipped", apply=_on(one, _times(-1.0)))
    yield Fault(name="zero parameter disconnected", apply=_on(one, lambda _: None))
    for size in (1e-3, 1e-7):
        yield Fault(
            name=f"zero parameter no longer zero: {size:.0e}",
            apply=_on(one, lambda g, size=size: g + size * whole / math.sqrt(g.size)),  # type: ignore[misc] # bound now
        )


def _on(names: Collection[str], change: Change) -> Callable[[Answer], Answer]:
    """Return the fault that changes the gradients of some parameters."""

    def apply(answer: Answer) -> Answer:
        grads = {
            name: change(g) if name in names and g is not None else g
            for name, g in answer.grads.items()
        }
        return replace(answer, grads=grads)

    return apply


def _component(name: str, factor: float) -> Callable[[Answer], Answer]:
    """Return the fault that weights one component by a factor."""

    def apply(answer: Answer) -> Answer:
        value, parts = answer.components[name]
        grads = dict(answer.grads)
        for key, part in parts.items():
            total = grads[key]
            if part is not None and total is not None:
                grads[key] = total + (factor - 1) * part
        scaled = {key: None if part is None else factor * part for key, part in parts.items()}
        return Answer(
            value=answer.value + (factor - 1) * value,
            grads=grads,
            components={**answer.components, name: (factor * value, scaled)},
        )

    return apply


def _times(factor: float) -> Change:
    """Return the change by a factor."""
    return lambda grad: factor * grad


def _turned(size: float) -> Change:
    """Return the change into a random direction, at right angles, the norm kept."""

    def change(grad: Array) -> Array:
        length = np.linalg.norm(grad)
        if grad.size == 1 or length == 0:
            return grad
        unit = grad / length
        step = _stream(grad).standard_normal(grad.shape)
        step -= (step * unit).sum() * unit
        turned: Array = grad + size * length * step / np.linalg.norm(step)
        return turned * (length / np.linalg.norm(turned))

    return change


def _rolled(grad: Array) -> Array:
    """Move every element by one."""
    return np.roll(grad.reshape(-1), 1).reshape(grad.shape)


def _permuted(grad: Array) -> Array:
    """Put the rows in another order."""
    return grad[_stream(grad).permutation(len(grad))]


def _exchanged(grad: Array) -> Array:
    """Exchange the two largest rows."""
    first, second = _largest_rows(grad)
    order = np.arange(len(grad))
    order[[first, second]] = order[[second, first]]
    return grad[order]


def _flipped_row(grad: Array) -> Array:
    """Flip the sign of the second largest row."""
    changed = grad.copy()
    changed[_largest_rows(grad)[1]] *= -1
    return changed


def _transposed(grad: Array) -> Array:
    """Fill the matrix column by column."""
    return np.ascontiguousarray(_rows(grad).T).reshape(grad.shape)


def _flipped_element(grad: Array) -> Array:
    """Flip the sign of one typical element."""
    changed = grad.reshape(-1).copy()
    changed[_typical(grad)] *= -1
    return changed.reshape(grad.shape)


def _set_element(value: float) -> Change:
    """Return the change of one typical element to a value."""

    def change(grad: Array) -> Array:
        changed = grad.reshape(-1).copy()
        changed[_typical(grad)] = value
        return changed.reshape(grad.shape)

    return change


def _quarter_zeroed(grad: Array) -> Array:
    """Set the first quarter of the elements to zero, at least one."""
    changed = grad.reshape(-1).copy()
    changed[: max(1, grad.size // 4)] = 0.0
    return changed.reshape(grad.shape)


def _clipped(grad: Array) -> Array:
    """Clip at 0.9 of the largest element."""
    limit = 0.9 * np.abs(grad).max()
    return np.clip(grad, -limit, limit)


def _rounded(grad: Array) -> Array:
    """Round to the eight significant bits of bfloat16."""
    fraction, exponent = np.frexp(grad)
    return np.ldexp(np.round(fraction * 256) / 256, exponent)


def _largest_rows(grad: Array) -> tuple[int, int]:
    """Return the two rows of the largest norm."""
    ranked = np.argsort(-np.linalg.norm(_rows(grad), axis=1), kind="stable")
    return int(ranked[0]), int(ranked[1])


def _typical(grad: Array) -> int:
    """Return the index of the element whose size is the median of those that are not zero."""
    sizes = np.abs(grad).reshape(-1)
    ranked = np.argsort(sizes, kind="stable")
    ranked = ranked[sizes[ranked] > 0]
    return int(ranked[len(ranked) // 2]) if ranked.size else 0


def _rows(grad: Array) -> Array:
    """Return a gradient as a matrix."""
    return grad.reshape(len(grad), -1) if grad.ndim > 1 else grad.reshape(1, -1)


def _stream(grad: Array) -> np.random.RandomState:
    """Return random numbers that depend on the shape alone: the same in both precisions."""
    seed = zlib.crc32(repr(grad.shape).encode())
    return np.random.RandomState(seed)
