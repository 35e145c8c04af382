"""Turn a verdict into the lines that a reader needs, the first one the most."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from pytest_gradcheck.records import CheckResult, Measurement, Verdict

__all__ = ["explain", "finding_lines"]

MAX_LINES = 40

_REASONS = {
    "structure": "cannot be compared with its baseline: the structure changed",
    "point": "cannot be compared with its baseline: the starting point moved",
}


def explain(verdict: Verdict, *, verbose: bool = False) -> list[str]:
    """Return the story of a verdict, at most 40 lines unless verbose.

    First what failed, on which objective, in which backend; one line for each finding with observed
    and allowed; the probable cause; one hint for the whole message.
    """
    m, failures = verdict.measurement, verdict.failures
    title = f"gradients of '{m.objective}' ({m.backend})"
    if verdict.name:
        title += f" in '{verdict.name}'"
    if not failures:
        return [f"{title}: {len(verdict.results)} checks passed"]
    lines = [f"{title}: {_summary(verdict)}"]
    tail = [*_causes(failures), *_environment(verdict), *_reproduce(m), *_hint(failures)]
    names = {p.name for p in m.native.parameters}
    body = [line for result in failures for line in finding_lines(result, names)]
    room = MAX_LINES - len(lines) - len(tail)
    if not verbose and len(body) > room:
        hidden = len(body) - room + 1
        body = [*body[: room - 1], f"  ... and {hidden} more; -v shows all of them"]
    return [*lines, *body, *tail]


def _summary(verdict: Verdict) -> str:
    """Say how many checks failed, or why the baseline does not apply."""
    failures = verdict.failures
    if len(failures) == 1 and failures[0].reason in _REASONS:
        return _REASONS[failures[0].reason]
    return f"{len(failures)} of {len(verdict.results)} checks failed"


def finding_lines(result: CheckResult, parameters: Collection[str]) -> Iterator[str]:
    """Yield one line for each finding, subjects aligned; the first that drifted is marked.

    Args:
        result: of a check that failed.
        parameters: the names among which there is an order, the backward one.
    """
    label = result.reason if result.reason in _REASONS else result.check
    subjects = [f"{label} [{f.subject}]" for f in result.findings]
    width = min(max(map(len, subjects)), 48)
    ordered = result.reason == "drift" and sum(f.subject in parameters for f in result.findings) > 1
    for i, (subject, finding) in enumerate(zip(subjects, result.findings, strict=True)):
        mark = "  <- first in backward order" if ordered and i == 0 else ""
        first, *rest = finding.text.split("\n")
        yield f"  {subject:<{width}}  {first}{mark}"
        yield from (f"      {line}" for line in rest)


def _causes(failures: tuple[CheckResult, ...]) -> Iterator[str]:
    """Yield the diagnoses."""
    for result in failures:
        for sentence in result.diagnosis:
            yield f"  cause: {sentence}"


def _environment(verdict: Verdict) -> Iterator[str]:
    """Yield the packages that changed since the baseline, when it no longer fits."""
    result, baseline = verdict.result("drift"), verdict.baseline
    if result is None or result.outcome != "failed" or baseline is None:
        return
    m, was = verdict.measurement, baseline.packages
    seeds = {"seed": m.seed}, {"seed": baseline.seed}
    changed = [
        f"{name} {old[name]} -> {new[name]}"
        for new, old in ((m.packages, was), (m.facts, baseline.facts), seeds)
        for name in old
        if name in new and new[name] != old[name]
    ]
    if changed:
        yield f"  since the baseline: {', '.join(changed)}"
    elif was:
        yield f"  same packages as the baseline: {', '.join(f'{n} {v}' for n, v in was.items())}"


def _reproduce(measurement: Measurement) -> Iterator[str]:
    """Yield what is needed to see it again."""
    dtypes = ", ".join(dict.fromkeys(p.dtype for p in measurement.native.parameters))
    yield (
        f"  at: {measurement.sense} {measurement.value:.7g}, norm {measurement.norm:.6g}, "
        f"seed {measurement.seed}, {dtypes} on {measurement.device}"
    )
    if measurement.at:
        yield f"  point: {measurement.at}"
    for note in measurement.notes:
        yield f"  note: {note}"


def _hint(failures: tuple[CheckResult, ...]) -> Iterator[str]:
    """Yield the first hint there is: one for the whole message."""
    for result in failures:
        for hint in result.hints:
            yield f"  hint: {hint}"
            return
