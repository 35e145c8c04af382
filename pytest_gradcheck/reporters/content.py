"""What machines read in a report, the same for every format.

Each call has its ``config``, what was asked of it, and its ``metrics``, one flat table of numbers.
Of a training run there is ``series`` as well: every metric, step by step. Its ``verdict`` is
everything, parameters as columns (`pytest_gradcheck.serialize.forms`):
`pytest_gradcheck.serialize.from_json` makes a `Verdict`, or a `SeriesVerdict`, of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_gradcheck.records import SeriesVerdict
from pytest_gradcheck.reporters import SCHEMA_VERSION
from pytest_gradcheck.reporters.replicates import replicate_metrics, replicate_series
from pytest_gradcheck.reporters.series_content import series_content

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_gradcheck.records import Measurement, Table, Verdict
    from pytest_gradcheck.reporters import Report, ReportEntry

__all__ = ["RECORDS", "entry_content", "run_content"]

RECORDS = ("verdict", "offer")
"""The fields of a call that are whole records."""


def run_content(report: Report, convert: Callable[[object], Any]) -> dict[str, Any]:
    """Return what a report says of the run, everything but its calls, as plain data.

    Args:
        report: what the run found out.
        convert: makes plain data of a record.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "environment": dict(report.environment),
        "config": dict(report.settings),
        "metrics": {**report.counts, "seconds": report.seconds},
        "withheld": [
            {"node_id": e.node_id, "name": e.name, "reason": e.reason} for e in report.withheld
        ],
        "unused": list(report.unused),
        "pruned": list(report.pruned),
        "notes": list(report.notes),
        "coverage": convert(report.coverage) if report.coverage else None,
    }


def entry_content(entry: ReportEntry, convert: Callable[[object], Any]) -> dict[str, Any]:
    """Return one call as plain data.

    Args:
        entry: what became of the call.
        convert: makes plain data of a record: a verdict, an offer.
    """
    verdict = entry.verdict
    return {
        "schema_version": SCHEMA_VERSION,
        "node_id": entry.node_id,
        "name": entry.name,
        "outcome": entry.outcome,
        "baseline": entry.baseline,
        "reason": entry.reason,
        "drifted": entry.drifted,
        "failed": list(entry.failed),
        "command": entry.command,
        "warnings": list(entry.warnings),
        "source": entry.source,
        "line": entry.line,
        "file": entry.file,
        "key": entry.key,
        "offer": convert(entry.offer) if entry.offer else None,
        **_told(verdict, entry.seconds, entry.walked),
        "verdict": convert(verdict) if verdict else None,
    }


def _told(verdict: Verdict | SeriesVerdict | None, seconds: float, walked: float) -> dict[str, Any]:
    """Return what was asked of a call and the numbers it led to; of a series, every step's too."""
    if verdict is None:
        return {"config": {}, "metrics": {}, "per_replicate": [], "tables": []}
    if isinstance(verdict, SeriesVerdict):
        return series_content(verdict)
    metrics = {**_metrics(verdict.measurement), "seconds": seconds}
    if walked:
        metrics["walked"] = walked
    if verdict.baseline and verdict.baseline.walked:
        metrics["baseline.walked"] = verdict.baseline.walked
    return {
        "config": _config(verdict),
        "metrics": metrics,
        "per_replicate": replicate_series(verdict.measurement.replicates),
        "tables": [_table(one) for one in verdict.tables],
    }


def _config(verdict: Verdict) -> dict[str, Any]:
    """Return what was asked of a call."""
    measurement = verdict.measurement
    return {
        "objective": measurement.objective,
        "backend": measurement.backend,
        "device": measurement.device,
        "sense": measurement.sense,
        "seed": measurement.seed,
        "limits": dict(verdict.limits),
        "facts": dict(measurement.facts),
        "structure": dict(measurement.structure),
        "policy": dict(measurement.policy),
        "packages": dict(measurement.packages),
    }


def _table(one: Table) -> dict[str, Any]:
    """Return a table by column name."""
    return {"title": one.title, "rows": [dict(zip(one.head, r, strict=True)) for r in one.rows]}


def _metrics(measurement: Measurement) -> dict[str, float | None]:
    """Return the numbers of a call as one flat table."""
    native, shadow = measurement.native, measurement.shadow
    table: dict[str, float | None] = {
        "value": native.value,
        "norm": native.norm,
        "max_abs": native.max_abs,
        "parameters": len(native.parameters),
        "elements": native.size,
        "nans": native.nans,
        "infs": native.infs,
        "zeros": native.zeros,
        "disconnected": sum(parameter.disconnected for parameter in native.parameters),
    }
    if shadow:
        table |= {"float64.value": shadow.value, "float64.norm": shadow.norm}
    for component in native.components:
        table[f"component.{component.name}.value"] = component.value
        table[f"component.{component.name}.norm"] = component.norm
        table[f"component.{component.name}.share"] = component.share
    if measurement.samples:
        table["perturbed"] = len(measurement.samples)
        table["perturbed.finite"] = sum(sample.finite for sample in measurement.samples)
        table["perturbed.max_norm_ratio"] = measurement.max_norm_ratio
        table["perturbed.log_spread"] = measurement.log_spread
    if measurement.replicates:
        table |= replicate_metrics(measurement.replicates)
    return table
