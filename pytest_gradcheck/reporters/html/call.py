"""Gather what the page shows of one call, as plain data."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pytest_gradcheck.drift.usage import Usage, usage
from pytest_gradcheck.explain import explain
from pytest_gradcheck.records import SeriesVerdict
from pytest_gradcheck.reporters.html.figures import strip
from pytest_gradcheck.reporters.html.packing import rounded
from pytest_gradcheck.reporters.html.parameters import Layouts, parameter_columns
from pytest_gradcheck.reporters.html.replicates import replicate_figures, replicate_rows
from pytest_gradcheck.reporters.html.results import judged
from pytest_gradcheck.reporters.html.series import series_call

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_gradcheck.records import (
        ComponentStats,
        GradientStats,
        Measurement,
        Scalar,
        Verdict,
    )
    from pytest_gradcheck.reporters import ReportEntry

__all__ = ["call_content", "used_by"]


def used_by(verdict: Verdict | None) -> Usage:
    """Return what each parameter of a call used of its allowance; empty without a baseline."""
    if verdict is None or verdict.baseline is None:
        return Usage()
    written = verdict.limits.get("min_drift")
    min_drift = float(written) if written else None
    return usage(verdict.measurement, verdict.baseline, min_drift=min_drift)


def call_content(
    entry: ReportEntry,
    used: Usage,
    layouts: Layouts,
    *,
    machine: Mapping[str, Scalar],
    top: int,
) -> dict[str, Any]:
    """Return everything that the page shows of one call.

    Args:
        entry: of the call; its verdict is known.
        used: what `used_by` found.
        layouts: of all models.
        machine: versions and platform of the run.
        top: the most elements to list.
    """
    if isinstance(entry.verdict, SeriesVerdict):
        return series_call(entry, entry.verdict, machine)
    verdict = entry.gradients
    if verdict is None:
        return {}
    m, was = verdict.measurement, verdict.baseline
    content = {
        **judged(verdict.results, explain(verdict) if verdict.failures else []),
        "command": entry.command,
        "notes": list(m.notes),
        "warnings": [[one.subject, one.text] for one in verdict.warnings],
        "tables": [
            [one.title, list(one.head), [list(map(_cell, row)) for row in one.rows]]
            for one in verdict.tables
        ],
        "sense": m.sense,
        "totals": _totals(m, was),
        "parameters": parameter_columns(m, was, used, layouts),
        "components": _components(m.native, was.native if was else None),
        "elements": _elements(m.native, top),
        "samples": _samples(m),
        "directional": [
            [
                list(one.parameters),
                rounded(one.analytic),
                rounded(one.numeric),
                rounded(abs(one.analytic - one.numeric), 3),
                rounded(one.allowed, 3),
                one.agrees,
                one.seed,
            ]
            for one in m.directional
        ],
        "figures": _figures(m, was),
        "replicates": replicate_rows(m.replicates, was.replicates if was else None)
        if m.replicates
        else [],
        "environment": _environment(m, was, machine),
        "configuration": _configuration(verdict),
    }
    return {name: part for name, part in content.items() if part not in ([], None, "")}


def _totals(m: Measurement, was: Measurement | None) -> list[list[Any]]:
    """Return the whole gradient, here, in float64 and in the baseline, row by row."""
    tiers = [m.native, m.shadow, was.native if was else None, was.shadow if was else None]
    columns = [{} if tier is None else _statistics(tier, m.sense) for tier in tiers]
    return [[name, *(rounded(one.get(name)) for one in columns)] for name in columns[0]]


def _statistics(tier: GradientStats, sense: str) -> dict[str, float]:
    """Return the statistics of one whole gradient."""
    return {
        sense: tier.value,
        "L2 norm": tier.norm,
        "largest element": tier.max_abs,
        "RMS": tier.norm / math.sqrt(tier.size or 1),
        "elements": tier.size,
        "exactly zero": tier.zeros,
        "NaN": tier.nans,
        "Inf": tier.infs,
    }


def _components(now: GradientStats, was: GradientStats | None) -> dict[str, Any] | None:
    """Return the terms of the loss, beside those of the baseline, and their cosines."""
    if not now.components:
        return None
    old: dict[str, ComponentStats] = {c.name: c for c in was.components} if was else {}
    return {
        "rows": [
            [
                c.name,
                c.finite,
                *(rounded(x, 6) for x in (c.value, c.norm)),
                rounded(c.share, 4),
                *_before(old.get(c.name)),
            ]
            for c in now.components
        ],
        "cosines": [[rounded(x, 3) for x in c.cosines] for c in now.components],
    }


def _before(component: ComponentStats | None) -> list[Any]:
    """Return value, norm and share of a component in the baseline."""
    if component is None:
        return [None, None, None]
    return [rounded(component.value, 6), rounded(component.norm, 6), rounded(component.share, 4)]


def _elements(native: GradientStats, top: int) -> list[list[Any]]:
    """Return the largest elements: number of the parameter, index, gradient."""
    every = [
        (abs(e.value), i, e.index, e.value) for i, p in enumerate(native.parameters) for e in p.top
    ]
    every.sort(key=lambda one: -one[0])
    return [[i, list(index), rounded(value, 5)] for _, i, index, value in every[:top]]


def _samples(m: Measurement) -> list[list[Any]]:
    """Return what became of value and gradient at each perturbed point."""
    return [
        [
            s.seed,
            rounded(s.scale, 3),
            rounded(s.value),
            rounded(s.norm),
            rounded(s.cosine, 5),
            list(s.nonfinite),
            s.nans,
            s.infs,
        ]
        for s in m.samples
    ]


def _figures(m: Measurement, was: Measurement | None) -> list[dict[str, Any]]:
    """Return the figures of what was measured beside the point."""
    found = []
    if m.samples:
        groups: dict[str, Sequence[float]] = {"now": [s.norm for s in m.samples]}
        marks = {"at the point": m.norm}
        if was and was.samples:
            groups["baseline"] = [s.norm for s in was.samples]
            marks["at the point, baseline"] = was.norm
        title = "Gradient norm at perturbed points"
        found.append(strip(title, groups, x="L2 norm", marks=marks, log=True))
    if m.replicates:
        old = was.replicates if was else None
        found += replicate_figures(m.replicates, old, m.sense)
    return found


def _environment(
    m: Measurement, was: Measurement | None, machine: Mapping[str, Scalar]
) -> list[list[Any]]:
    """Return what computed the gradient, then and now: packages, facts, device, seed."""
    old: dict[str, Any] = {}
    if was is not None:
        old = {"device": was.device, "seed": was.seed, **was.packages, **was.facts}
    shared = {name: machine[name] for name in ("python", "platform") if name in machine}
    now = {"device": m.device, "seed": m.seed, **shared, **m.packages, **m.facts}
    return [
        [name, _text(old.get(name)), _text(now.get(name))] for name in dict.fromkeys([*now, *old])
    ]


def _configuration(verdict: Verdict) -> list[list[Any]]:
    """Return what was asked of the call."""
    m = verdict.measurement
    return [
        ["objective", m.objective],
        ["backend", m.backend],
        *([f"limit {name}", text] for name, text in verdict.limits.items()),
        *([name, _text(value)] for name, value in m.structure.items()),
    ]


def _cell(value: Scalar) -> Scalar:
    """Return a cell of a table, numbers at a few digits."""
    return rounded(value) if isinstance(value, float) else value


def _text(value: object) -> str | None:
    """Return a value as text, ``None`` where there is none."""
    return None if value is None else str(value)
