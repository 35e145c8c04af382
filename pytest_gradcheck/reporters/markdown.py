"""Write a report as a Markdown page: the run first, then each call with its tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_gradcheck.records import SeriesVerdict
from pytest_gradcheck.reporters.call import call_lines
from pytest_gradcheck.reporters.causes import shown, together
from pytest_gradcheck.reporters.markup import code, number, prose, table
from pytest_gradcheck.reporters.series import series_lines, series_overview
from pytest_gradcheck.reporters.story import cause_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_gradcheck.reporters import Report, ReportEntry

__all__ = ["markdown_text"]


def markdown_text(report: Report, *, top: int = 20) -> str:
    """Return the report as Markdown.

    Args:
        report: what the run found out.
        top: the most rows in a table of elements or of parameters.
    """
    return "\n".join([*_run_lines(report), *_calls(report, top)]).rstrip("\n") + "\n"


def _run_lines(report: Report) -> Iterator[str]:
    """Yield what holds for the whole run."""
    counts = report.counts
    yield "# Gradient report"
    yield ""
    yield f"**{'PASSED' if report.passed else 'FAILED'}**"
    yield ""
    rows = [(name, str(n)) for name, n in counts.items() if n or name == "checked"]
    yield from table(
        ["calls", "number"], [*rows, ("seconds of gradient work", f"{report.seconds:.2f}")]
    )
    yield from table(
        ["call", "test", "baseline", "L2 norm", "NaN", "Inf", "failed checks", "seconds"],
        (_overview(entry) for entry in report.entries),
    )
    yield from _listed("Drifted", _drifts(report.entries))
    yield from _listed("Withheld", [f"{_title(e)}: {prose(e.reason)}" for e in report.withheld])
    yield from _listed("Unused", [code(line) for line in report.unused])
    yield from _listed("Pruned", [code(line) for line in report.pruned])
    yield from _listed("Notes", [prose(line) for line in report.notes])
    yield from _mapping("Settings", report.settings)
    yield from _mapping("Environment", report.environment)


def _calls(report: Report, top: int) -> Iterator[str]:
    """Yield a section for each call."""
    for entry in report.entries:
        yield f"## {_title(entry)}"
        yield ""
        reason = f" ({prose(entry.reason)})" if entry.reason else ""
        yield f"Test **{prose(entry.outcome)}**. Baseline: **{entry.baseline}**{reason}."
        yield from _creep(entry)
        yield ""
        if entry.verdict:
            lines = series_lines if isinstance(entry.verdict, SeriesVerdict) else call_lines
            yield from lines(entry.verdict, top=top)  # type: ignore[arg-type] # of its kind


def _drifts(entries: Sequence[ReportEntry]) -> list[str]:
    """Return the probable causes of what drifted, each with the calls that it explains."""
    groups = together([e for e in entries if e.drifted], cause_of)
    said = ((prose(cause), ", ".join(shown([_title(e) for e in calls]))) for cause, calls in groups)
    return [f"{cause}: {names}" if cause else names for cause, names in said]


def _creep(entry: ReportEntry) -> Iterator[str]:
    """Yield how far the baseline went when it was recorded again, and would go now."""
    before = entry.gradients.baseline if entry.gradients else None
    if before and before.walked:
        yield f"The baseline is {number(before.walked)} from the one that it replaced (relative)."
    if entry.walked:
        new = "new one" if before else "entry"
        yield f"The {new} is {number(entry.walked)} from the one that it replaces (relative)."


def _title(entry: ReportEntry) -> str:
    """Return the name of a call."""
    return f"{code(entry.node_id)} {code(entry.name)}" if entry.name else code(entry.node_id)


def _overview(entry: ReportEntry) -> list[str]:
    """Return the row of one call."""
    norm: float | None
    nans: int | None
    infs: int | None
    if isinstance(entry.verdict, SeriesVerdict):
        norm, nans, infs = series_overview(entry.verdict.series)
    else:
        native = entry.verdict.measurement.native if entry.verdict else None
        norm = native.norm if native else None
        nans, infs = (native.nans, native.infs) if native else (None, None)
    return [
        _title(entry),
        prose(entry.outcome),
        f"{entry.baseline}, drifted" if entry.drifted else entry.baseline,
        number(norm),
        number(nans),
        number(infs),
        prose(", ".join(entry.failed)),
        f"{entry.seconds:.2f}",
    ]


def _listed(title: str, lines: list[str]) -> Iterator[str]:
    """Yield a list under a heading; nothing where it is empty."""
    if lines:
        yield f"## {title}"
        yield ""
        yield from (f"- {line}" for line in lines)
        yield ""


def _mapping(title: str, values: Mapping[str, object]) -> Iterator[str]:
    """Yield names and values under a heading; nothing where there are none."""
    if values:
        yield f"## {title}"
        yield ""
        yield from table(["name", "value"], ((code(k), code(v)) for k, v in values.items()))
