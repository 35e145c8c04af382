"""Add up what every rank knows of its shard, so that all know the statistics of the whole.

Shards have no element in common and are addressed by their place in the whole parameter, so that
norms, means, counts and sketches simply add up. Of a parameter that several ranks hold, one of them
speaks, and the others are held against it (`agreement`).

Requirements:
    One exchange over the ranks for each gradient: a sum of some 40 numbers for a parameter, and the
    extremes of each rank. Where something is not finite, one more says where. Every rank ends with
    the same bits, because what follows (which evaluations a check asks for) must be the same.
    Lengths are added as squares in three ranges of size, so that none overflows or vanishes (Blue,
    "A portable Fortran program to find the Euclidean norm of a vector", 1978).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from pytest_gradcheck.records import (
    Collective,
    ComponentEvaluation,
    ComponentStats,
    GradientStats,
    ParameterStats,
    Push,
    Sketch,
)
from pytest_gradcheck.stats.agreement import copied_numbers, disagreements
from pytest_gradcheck.stats.extremes import top_rows, with_places, with_top

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["added_lengths", "joined", "joined_sketches", "owned"]

_HIGH: Final = 2.0**500  # lengths whose squares float64 can hold lie between
_LOW: Final = 2.0**-500
_SHIFT: Final = 2.0**600


def owned(
    components: Mapping[str, ComponentEvaluation], collective: Collective | None
) -> Mapping[str, ComponentEvaluation]:
    """Return components with the gradients that this rank speaks for, and no others."""
    if collective is None:
        return components
    return {
        name: replace(c, grads={p: v for p, v in c.grads.items() if collective.owns(p)})
        for name, c in components.items()
    }


def joined(here: GradientStats, collective: Collective, *, top: int) -> GradientStats:
    """Return the statistics of a whole gradient from those of each rank's part of it.

    Args:
        here: of this rank's part; elements that lie elsewhere count as zeros in it.
        collective: the ranks.
        top: how many of the largest elements to keep over all parameters. With none, ranks are not
            held against each other either.
    """
    spoken = [_Spoken(p, speaks=collective.owns(p.name)) for p in here.parameters]
    parts = [[here.value], *(s.numbers() for s in spoken), *_component_parts(here)]
    mine = [p if collective.owns(p.name) else None for p in here.parameters]
    sizes = [p.max_abs if p else 0.0 for p in mine]
    copies = copied_numbers(here, collective) if top else []
    largest = top_rows(mine, room=top + len(mine)) if top else []
    total, table = collective.exchange(
        np.array([x for part in parts for x in part]), np.array([*sizes, *copies, *largest])
    )
    of_sizes, of_copies, of_largest = np.split(table, np.cumsum([len(sizes), len(copies)]), axis=1)
    sums = _Reader(total)
    value = sums.next() / collective.size
    lean = [s.read(sums) for s in spoken]
    components = _components(here, sums, collective.size)
    found = zip(lean, of_sizes.max(axis=0).tolist(), strict=True)
    parameters = [replace(p, max_abs=size, top=(), nonfinite=()) for p, size in found]
    if top:
        parameters = with_top(parameters, of_largest, top)
        parameters = with_places(parameters, mine, collective)
    return GradientStats(
        value=value,
        parameters=tuple(parameters),
        components=components,
        disagreements=disagreements(of_copies, parameters) if top else (),
    )


def joined_sketches(here: Mapping[str, Sketch], collective: Collective) -> list[Sketch]:
    """Return the sketches of whole arrays from those of each rank's part of them, by name."""
    parts: list[float] = []
    for name, sketch in here.items():
        numbers = [*_squares(sketch.norm), *sketch.values]
        parts += numbers if collective.owns(name) else [0.0] * len(numbers)
    sums = _Reader(collective.add(np.array(parts)))
    return [
        Sketch(norm=sums.length(), values=tuple(sums.take(len(sketch.values))))
        for sketch in here.values()
    ]


def added_lengths(
    parts: Iterable[tuple[float, float]], collective: Collective
) -> list[tuple[float, float]]:
    """Return lengths and counts of whole vectors from those of each rank's part of them."""
    numbers = [x for length, count in parts for x in (*_squares(length), count)]
    sums = _Reader(collective.add(np.array(numbers)))
    return [(sums.length(), sums.next()) for _ in range(len(numbers) // 4)]


class _Reader:
    """Take numbers off a vector, one after the other."""

    def __init__(self, numbers: NDArray[np.float64]) -> None:
        """Start at the first."""
        self._numbers: Iterator[float] = iter(numbers.tolist())

    def next(self) -> float:
        """Return one number."""
        return next(self._numbers)

    def take(self, count: int) -> list[float]:
        """Return several numbers."""
        return [next(self._numbers) for _ in range(count)]

    def length(self) -> float:
        """Return one length."""
        big, middle, small = self.take(3)
        return math.hypot(math.sqrt(big) * _SHIFT, math.sqrt(middle), math.sqrt(small) / _SHIFT)


class _Spoken:
    """Turn the statistics of one parameter's part into numbers that add up, and back."""

    _COUNTED: Final = 11

    def __init__(self, stats: ParameterStats, *, speaks: bool) -> None:
        """Hold this rank's part; one that is another rank's to speak for counts nothing."""
        self._stats = stats
        self._speaks = speaks
        self._width = min(stats.size, 32)

    def numbers(self) -> list[float]:
        """Return the numbers."""
        s = self._stats
        if not self._speaks:
            return [0.0] * (self._COUNTED + self._width)
        values = s.sketch.values if s.sketch else (0.0,) * self._width
        absent = s.sketch is None and not s.disconnected
        counts = (s.zeros, s.nans, s.infs, absent, s.disconnected, s.disconnected and s.size)
        return [1.0, *_squares(s.norm), s.mean, *map(float, counts), *values]

    def read(self, sums: _Reader) -> ParameterStats:
        """Return the whole parameter's statistics; extremes are found elsewhere."""
        s = self._stats
        speakers = sums.next()
        norm, mean = sums.length(), sums.next()
        zeros, nans, infs, absent, disconnected, missing = sums.take(6)
        values = tuple(sums.take(self._width))
        if disconnected == speakers:
            return replace(s, disconnected=True, norm=0.0, mean=0.0, zeros=0, sketch=None)
        # Each speaker counts what lies elsewhere as zeros: all but one of them must not.
        elsewhere = (speakers - 1.0) * s.size - missing
        finite = not (nans or infs or absent) and math.isfinite(norm)
        return replace(
            s,
            disconnected=False,
            norm=norm,
            mean=mean,
            zeros=round(zeros - elsewhere),
            nans=round(nans),
            infs=round(infs),
            sketch=Sketch(norm=norm, values=values) if finite else None,
        )


def _squares(length: float) -> tuple[float, float, float]:
    """Return a length's square, in the range of sizes that it belongs to."""
    if length > _HIGH:
        return (length / _SHIFT) ** 2, 0.0, 0.0
    if length < _LOW:
        return 0.0, 0.0, (length * _SHIFT) ** 2
    return 0.0, length**2, 0.0


def _component_parts(here: GradientStats) -> Iterator[Sequence[float]]:
    """Yield what adds up of the components: values, lengths, inner products, what is not finite."""
    names = [p.name for p in here.parameters]
    for c in here.components:
        yield (c.value, *_squares(c.norm))
        yield [cosine * c.norm * d.norm for cosine, d in _beside(c, here.components)]
        pushed = {push.parameter: push.norm for push in c.pushes}
        for name in names:
            there = (float(name in c.nonfinite), float(name in pushed))
            yield (*there, *_squares(pushed.get(name, 0.0)))


def _beside(
    component: ComponentStats, others: Sequence[ComponentStats]
) -> Iterator[tuple[float, ComponentStats]]:
    """Yield a component's cosine with each of the components."""
    return zip(component.cosines, others, strict=True)


def _components(here: GradientStats, sums: _Reader, size: int) -> tuple[ComponentStats, ...]:
    """Return the components of the whole gradient."""
    names = [p.name for p in here.parameters]
    read = []
    for c in here.components:
        value, norm = sums.next() / size, sums.length()
        dots = sums.take(len(c.cosines))
        bad: list[str] = []
        pushed: dict[str, float] = {}
        for name in names:
            (wrong, depends), push = sums.take(2), sums.length()
            bad += [name] if wrong else []
            pushed |= {name: push} if depends else {}
        read.append((c, value, norm, dots, bad, pushed))
    norms = [norm for _, _, norm, _, _, _ in read]
    whole = math.fsum(norms)
    in_each = {name: math.fsum(pushed.get(name, 0.0) for *_, pushed in read) for name in names}
    return tuple(
        replace(
            c,
            value=value,
            norm=norm,
            share=norm / whole if whole > 0 else 0.0,
            finite=math.isfinite(value) and not bad,
            cosines=tuple(
                _cosine(dot, norm, other) for dot, other in zip(dots, norms, strict=True)
            ),
            nonfinite=tuple(bad),
            pushes=tuple(
                Push(parameter=p, norm=n, share=n / in_each[p] if in_each[p] > 0 else 0.0)
                for p, n in pushed.items()
            ),
        )
        for c, value, norm, dots, bad, pushed in read
    )


def _cosine(dot: float, a: float, b: float) -> float:
    """Return a cosine from an inner product; 0 where one of the two is zero."""
    return min(1.0, max(-1.0, dot / a / b)) if a > 0 and b > 0 else 0.0
