"""Write the numbers of one measurement, as tables of a Markdown page."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pytest_gradcheck.reporters.markup import code, count, number, prose, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_gradcheck.records import ComponentStats, GradientStats, Measurement, ParameterStats

__all__ = ["measured_lines"]

_MATRIX = 6  # components whose cosines are shown as a whole matrix


def measured_lines(
    measurement: Measurement, baseline: Measurement | None, *, top: int
) -> Iterator[str]:
    """Yield the tables of one measurement.

    Args:
        measurement: what was measured.
        baseline: what it was compared with, if anything.
        top: the most rows in a table of elements or of parameters.
    """
    yield from _point(measurement, baseline)
    yield from _components(measurement.native)
    yield from _elements(measurement.native, top)
    yield from _parameters(measurement, baseline, top)
    yield from _samples(measurement)
    yield from _directional(measurement)


def _point(measurement: Measurement, baseline: Measurement | None) -> Iterator[str]:
    """Yield the whole gradient at the point, beside its float64 twin and the baseline."""
    tiers = [("here", measurement.native)]
    if measurement.shadow:
        tiers.append(("float64", measurement.shadow))
    if baseline:
        tiers.append(("baseline", baseline.native))
    columns = [_totals(tier, measurement.sense) for _, tier in tiers]
    yield from _titled(
        "Gradient at the point",
        ["statistic", *(name for name, _ in tiers)],
        ([prose(name), *(column[name] for column in columns)] for name in columns[0]),
    )


def _totals(tier: GradientStats, sense: str) -> dict[str, str]:
    """Return the statistics of one tier, ready to read."""
    size, finite = tier.size, tier.size - tier.nans - tier.infs
    zeros = sum(parameter.zeros for parameter in tier.parameters)
    return {
        sense: number(tier.value),
        "finite": "yes" if tier.finite else "NO",
        "parameters": str(len(tier.parameters)),
        "elements": str(size),
        "L2 norm": number(tier.norm),
        "L-infinity norm": number(tier.max_abs),
        "rms": number(tier.norm / math.sqrt(max(size, 1))),
        "mean": number(sum(p.mean * _finite(p) for p in tier.parameters) / max(finite, 1)),
        "NaN": count(tier.nans, size),
        "Inf": count(tier.infs, size),
        "exactly zero": count(zeros, size),
    }


def _components(native: GradientStats) -> Iterator[str]:
    """Yield the terms of the loss, with the cosines between their gradients."""
    components = native.components
    names = [f"cosine with {code(component.name)}" for component in components]
    if len(components) > _MATRIX:  # nobody reads a wider one
        names = ["strongest cosine"]
    yield from _titled(
        "Components",
        ["component", "value", "L2 norm", "share", "finite", *names],
        (
            [
                code(c.name),
                number(c.value),
                number(c.norm),
                f"{100 * c.share:.1f} %",
                _yes(c.finite, c.nonfinite),
                *_cosines(components, i),
            ]
            for i, c in enumerate(components)
        ),
    )


def _cosines(components: tuple[ComponentStats, ...], i: int) -> list[str]:
    """Return the cells with the cosines of one component."""
    cosines = components[i].cosines
    if len(components) <= _MATRIX:
        return list(map(number, cosines or (None,) * len(components)))
    others = [(abs(value), j) for j, value in enumerate(cosines) if j != i and value]
    if not others:
        return [number(None)]
    _, j = max(others)
    return [f"{number(cosines[j])} with {code(components[j].name)}"]


def _elements(native: GradientStats, top: int) -> Iterator[str]:
    """Yield the largest elements of the whole gradient."""
    every = [(p.name, e) for p in native.parameters for e in p.top]
    every.sort(key=lambda named: -abs(named[1].value))
    shown = every[:top]
    yield from _titled(
        f"Largest elements ({len(shown)} of {native.size})",
        ["rank", "variable", "index", "gradient", "value", "coordinates"],
        (
            [
                str(rank),
                code(name),
                code(list(element.index)),
                number(element.value),
                number(element.at),
                prose(element.where),
            ]
            for rank, (name, element) in enumerate(shown, start=1)
        ),
    )


def _parameters(measurement: Measurement, baseline: Measurement | None, top: int) -> Iterator[str]:
    """Yield the statistics of each parameter; where there are many, of the odd and the largest."""
    every = measurement.native.parameters
    first = sorted(every, key=lambda p: (p.finite and not p.dead, -p.norm))[:top]
    names = {parameter.name for parameter in first}
    shown = [parameter for parameter in every if parameter.name in names]
    before = {p.name: p.norm for p in baseline.native.parameters} if baseline else {}
    title = "Parameters" if len(shown) == len(every) else f"Parameters ({top} of {len(every)})"
    yield from _titled(
        title,
        [
            *("variable", "shape", "dtype", "L2 norm", "L-infinity norm", "mean", "rms"),
            *("exactly zero", "NaN", "Inf", "not finite at", "L2 norm in baseline"),
        ],
        (_parameter(parameter, before.get(parameter.name)) for parameter in shown),
    )


def _parameter(parameter: ParameterStats, before: float | None) -> list[str]:
    """Return the row of one parameter."""
    size = parameter.size
    return [
        code(parameter.name),
        code(list(parameter.shape)),
        code(parameter.dtype),
        "disconnected" if parameter.disconnected else number(parameter.norm),
        number(parameter.max_abs),
        number(parameter.mean),
        number(parameter.rms),
        count(parameter.zeros, size),
        count(parameter.nans, size),
        count(parameter.infs, size),
        " ".join(code(list(index)) for index in parameter.nonfinite),
        number(before),
    ]


def _samples(measurement: Measurement) -> Iterator[str]:
    """Yield what became of value and gradient at each perturbed point."""
    yield from _titled(
        "Perturbed points",
        [
            *("point", "seed", "scale", measurement.sense, "finite"),
            *("gradient norm", "finite", "NaN", "Inf", "cosine with the point"),
        ],
        (
            [
                code(sample.label),
                str(sample.seed),
                number(sample.scale),
                number(sample.value),
                _yes(math.isfinite(sample.value)),
                number(sample.norm),
                _yes(not sample.nonfinite, sample.nonfinite),
                str(sample.nans),
                str(sample.infs),
                number(sample.cosine),
            ]
            for sample in measurement.samples
        ),
    )


def _directional(measurement: Measurement) -> Iterator[str]:
    """Yield the analytic directional derivatives beside the numeric ones."""
    yield from _titled(
        "Directional derivatives",
        ["seed", "parameters moved", "analytic", "numeric", "allowed difference", "agree"],
        (
            [
                str(one.seed),
                ", ".join(map(code, one.parameters)),
                number(one.analytic),
                number(one.numeric),
                number(one.allowed),
                _yes(one.agrees),
            ]
            for one in measurement.directional
        ),
    )


def _titled(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield a table under a heading; nothing at all without rows."""
    lines = list(table(head, rows))
    if lines:
        yield f"### {title}"
        yield ""
        yield from lines


def _finite(parameter: ParameterStats) -> int:
    """Return the number of finite elements."""
    return parameter.size - parameter.nans - parameter.infs


def _yes(good: bool, names: tuple[str, ...] = ()) -> str:  # noqa: FBT001 - it is the answer
    """Return the answer, loud where it is no, with the names to blame."""
    return "yes" if good else " ".join(["NO", *map(code, names)])
