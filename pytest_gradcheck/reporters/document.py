"""What a JSON report holds, field by field, and how it is read back.

Requirements:
    These classes read the file and describe it (`gradcheck schema report`): a field that
    `content` writes and that is not here makes the file unreadable, and a test says so.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.records import Scalar, SeriesVerdict, Verdict
from pytest_gradcheck.reporters import SCHEMA_VERSION, BaselineStatus, Report, ReportEntry
from pytest_gradcheck.reporters.offer import Coverage, Offer
from pytest_gradcheck.serialize import from_json

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ReportDocument", "parse_report", "read_report"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld:
    """Name a call whose baseline was not written, and why."""

    node_id: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TableDocument:
    """Hold a table that a call made, by column name."""

    title: str
    rows: tuple[Mapping[str, Scalar], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricDocument:
    """Hold one metric of a training run, step by step."""

    group: str
    steps: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallDocument:
    """Hold one call; as `ReportEntry`, with what was asked of it and its numbers as tables."""

    schema_version: int
    node_id: str
    name: str
    outcome: str
    baseline: BaselineStatus
    reason: str
    drifted: bool
    failed: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    command: str = ""
    source: str = ""
    line: int = 0
    file: str = ""
    key: str = ""
    offer: Offer | None = None
    config: Mapping[str, Scalar | Mapping[str, Scalar]]
    metrics: Mapping[str, float | None]
    per_replicate: tuple[Mapping[str, float | Mapping[str, float] | None], ...] = ()
    tables: tuple[TableDocument, ...] = ()
    series: Mapping[str, MetricDocument] = field(default_factory=dict)
    next_steps: tuple[str, ...] = ()
    verdict: Verdict | SeriesVerdict | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportDocument:
    """Hold the outermost object of a report file."""

    schema_version: int
    environment: Mapping[str, Scalar]
    config: Mapping[str, Scalar]
    metrics: Mapping[str, float]
    withheld: tuple[Withheld, ...] = ()
    unused: tuple[str, ...] = ()
    pruned: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    coverage: Coverage | None = None
    calls: tuple[CallDocument, ...] = field(default=())


def read_report(path: Path) -> Report:
    """Return the report in a file.

    Raises:
        UsageError: the file cannot be read, or is no report that this version knows.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror or error}"
        raise UsageError(msg) from None
    except UnicodeDecodeError:
        msg = f"{path} is not text"
        raise UsageError(msg) from None
    return parse_report(text, source=str(path))


def parse_report(text: str, *, source: str) -> Report:
    """Return the report in a text.

    Args:
        text: of a JSON report.
        source: what error messages call it.

    Raises:
        UsageError: it is no report that this version knows.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        msg = f"{source} is not JSON ({error}), as --grad-report=report.json writes it"
        raise UsageError(msg) from None
    version = data.get("schema_version") if isinstance(data, dict) else None
    if version is None or "calls" not in data:
        msg = f"{source} is not a JSON report, as --grad-report=report.json writes one"
        raise UsageError(msg)
    if version != SCHEMA_VERSION:
        msg = (
            f"{source} has version {version!r} of the report format, and this program knows "
            f"{SCHEMA_VERSION}: install the version of pytest-gradcheck that wrote it"
        )
        raise UsageError(msg)
    try:
        document = from_json(ReportDocument, data)
    except UsageError as error:
        msg = f"{source} is damaged, or of another version ({error})"
        raise UsageError(msg) from None
    return _report(document)


def _report(document: ReportDocument) -> Report:
    """Return the report that a document holds."""
    return Report(
        environment=document.environment,
        settings=document.config,
        entries=tuple(map(_entry, document.calls)),
        unused=document.unused,
        pruned=document.pruned,
        notes=document.notes,
        coverage=document.coverage,
    )


def _entry(call: CallDocument) -> ReportEntry:
    """Return the entry that a call of a document holds."""
    given: dict[str, Any] = {
        name: getattr(call, name) for name in ReportEntry.__dataclass_fields__ if name != "seconds"
    }
    return ReportEntry(**given, seconds=call.metrics.get("seconds") or 0.0)
