"""Write the numbers of one measurement, as tables of a Markdown page."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pytest_gradcheck.reporters.components import component_lines
from pytest_gradcheck.reporters.markup import answer, code, count, number, prose, titled
from pytest_gradcheck.reporters.replicates import replicate_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_gradcheck.records import GradientStats, Measurement, ParameterStats

__all__ = ["measured_lines"]


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
    yield from component_lines(measurement.native, top)
    yield from _elements(measurement.native, top)
    yield from _parameters(measurement, baseline, top)
    yield from _samples(measurement)
    yield from _directional(measurement)
    if measurement.replicates:
        yield from replicate_lines(measurement.replicates, top=top)


def _point(measurement: Measurement, baseline: Measurement | None) -> Iterator[str]:
    """Yield the whole gradient at the point, beside its float64 twin and the baseline."""
    tiers = [("here", measurement.native)]
    if measurement.shadow:
        tiers.append(("float64", measurement.shadow))
    if baseline:
        tiers.append(("baseline", baseline.native))
    columns = [_totals(tier, measurement.sense) for _, tier in tiers]
    yield from titled(
        "Gradient at the point",
        ["statistic", *(name for name, _ in tiers)],
        ([prose(name), *(column[name] for column in columns)] for name in columns[0]),
    )


def _totals(tier: GradientStats, sense: str) -> dict[str, str]:
    """Return the statistics of one tier, ready to read."""
    size = tier.size
    return {
        sense: number(tier.value),
        "finite": "yes" if tier.finite else "NO",
        "parameters": str(len(tier.parameters)),
        "elements": str(size),
        "L2 norm": number(tier.norm),
        "L-infinity norm": number(tier.max_abs),
        "rms": number(tier.norm / math.sqrt(max(size, 1))),
        "mean": number(tier.mean),
        "NaN": count(tier.nans, size),
        "Inf": count(tier.infs, size),
        "exactly zero": count(tier.zeros, size),
    }


def _elements(native: GradientStats, top: int) -> Iterator[str]:
    """Yield the largest elements of the whole gradient."""
    every = [(p.name, e) for p in native.parameters for e in p.top]
    every.sort(key=lambda named: -abs(named[1].value))
    shown = every[:top]
    yield from titled(
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
    yield from titled(
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
    yield from titled(
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
                answer(math.isfinite(sample.value)),
                number(sample.norm),
                answer(not sample.nonfinite, sample.nonfinite),
                str(sample.nans),
                str(sample.infs),
                number(sample.cosine),
            ]
            for sample in measurement.samples
        ),
    )


def _directional(measurement: Measurement) -> Iterator[str]:
    """Yield the analytic directional derivatives beside the numeric ones."""
    yield from titled(
        "Directional derivatives",
        ["seed", "parameters moved", "analytic", "numeric", "allowed difference", "agree"],
        (
            [
                str(one.seed),
                ", ".join(map(code, one.parameters)),
                number(one.analytic),
                number(one.numeric),
                number(one.allowed),
                answer(one.agrees),
            ]
            for one in measurement.directional
        ),
    )
