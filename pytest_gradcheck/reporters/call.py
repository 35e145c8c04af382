"""Write what one verdict says, as sections of a Markdown page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_gradcheck.reporters.markup import code, fence, prose, table
from pytest_gradcheck.reporters.measured import measured_lines
from pytest_gradcheck.reporters.plain import cell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_gradcheck.records import CheckResult, Scalar, Verdict

__all__ = ["call_lines"]


def call_lines(verdict: Verdict, *, top: int) -> Iterator[str]:
    """Yield the sections of one call, the checks first.

    Args:
        verdict: what to write.
        top: the most rows in a table of elements or of parameters.
    """
    measurement = verdict.measurement
    yield from _checks(verdict)
    if verdict.warnings:
        yield "### Warnings"
        yield ""
        yield from (f"- {code(w.subject)} {prose(w.text)}" for w in verdict.warnings)
        yield ""
    for one in verdict.tables:
        yield f"### {prose(one.title)}"
        yield ""
        yield from table([prose(h) for h in one.head], ([_cell(v) for v in r] for r in one.rows))
    yield from _configuration(verdict)
    yield from measured_lines(measurement, verdict.baseline, top=top)
    if measurement.notes:
        yield "### Notes"
        yield ""
        yield from (f"- {prose(note)}" for note in measurement.notes)
        yield ""


def _cell(value: Scalar) -> str:
    """Return one cell of a table: numbers as they are, text escaped."""
    return prose(value) if isinstance(value, str) else cell(value)


def _checks(verdict: Verdict) -> Iterator[str]:
    """Yield the outcome of each check, then what the failed ones found."""
    yield "### Checks"
    yield ""
    yield from table(
        ["check", "outcome", "findings", "reason"],
        (
            [prose(one.check), one.outcome, str(len(one.findings)), prose(one.reason)]
            for one in verdict.results
        ),
    )
    for result in verdict.results:
        if result.outcome == "failed":
            yield from fence(list(_story(result)))


def _story(result: CheckResult) -> Iterator[str]:
    """Yield what a failed check found, the probable cause, what to do."""
    yield f"{result.check} failed{f' ({result.reason})' if result.reason else ''}"
    for finding in result.findings:
        first, *rest = finding.text.split("\n")
        yield f"  [{finding.subject}]  {first}"
        yield from (f"      {line}" for line in rest)
    yield from (f"  cause: {sentence}" for sentence in result.diagnosis)
    yield from (f"  hint: {hint}" for hint in result.hints)


def _configuration(verdict: Verdict) -> Iterator[str]:
    """Yield what was measured, how, and under which limits; shapes of data among the facts."""
    m = verdict.measurement
    rows: list[tuple[str, object]] = [
        ("objective", m.objective),
        ("backend", m.backend),
        ("device", m.device),
        ("seed", m.seed),
        *((f"limit {name}", text) for name, text in verdict.limits.items()),
        *m.facts.items(),
        *m.structure.items(),
        *((f"precision of {name}", text) for name, text in m.policy.items()),
        *((f"version of {name}", text) for name, text in m.packages.items()),
    ]
    yield "### Configuration"
    yield ""
    yield from table(["what", "value"], ((prose(name), code(value)) for name, value in rows))
