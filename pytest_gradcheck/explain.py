"""Turn a verdict into the lines that a reader needs, the first one the most."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pytest_gradcheck.wording import shortened, wrapped

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from pytest_gradcheck.records import CheckResult, Finding, Measurement, Verdict

__all__ = ["explain", "finding_lines"]

MAX_LINES: Final = 40
WIDTH: Final = 100

_LEAST_BODY = 8  # lines that the findings keep, however much there is to say beside them
_LEAST_NAME = 12
_SUBJECTS = 48  # columns
_REASONS = {
    "structure": "cannot be compared with its baseline: the structure changed",
    "policy": "cannot be compared with its baseline: the precision policy changed",
    "point": "cannot be compared with its baseline: the starting point moved",
}
_CHANGE = re.compile(
    r"(?P<what>norm|value|gradient norm)? ?(?P<was>\S+) -> (?P<now>\S+), "
    r"relative (?:distance|change) (?P<far>\S+), allowed (?P<allowed>[^\s,]+)"
    r"(?:, cosine (?P<cosine>[^\s,]+))?(?P<rest>.*)"
)
_HEADS = ("baseline", "now", "distance", "allowed", "cosine")


def explain(verdict: Verdict, *, verbose: bool = False, width: int = WIDTH) -> list[str]:
    """Return the story of a verdict, at most 40 lines unless verbose.

    First what failed, on which objective, in which backend; one line for each finding with observed
    and allowed; the probable cause; one hint for the whole message.

    Args:
        verdict: to tell.
        verbose: whether to tell all of it, with names at full length.
        width: of the lines; only a word that is longer than that makes a longer line.
    """
    m, failures = verdict.measurement, verdict.failures
    title = f"gradients of '{m.objective}' ({m.backend})"
    if verdict.name:
        title += f" in '{verdict.name}'"
    if not failures:
        return [f"{title}: {len(verdict.results)} checks passed"]
    lines = _fitted([f"{title}: {_summary(verdict)}"], width)
    beside = [*_causes(failures), *_environment(verdict), *_reproduce(m)]
    beside, hint = _fitted(beside, width), _fitted(_hint(failures), width)
    names = {p.name for p in m.native.parameters}
    body = [
        line for result in failures for line in _findings(result, names, width=width, whole=verbose)
    ]
    if not verbose:
        room = MAX_LINES - len(lines) - len(hint)
        beside = _cut(beside, room - min(len(body), _LEAST_BODY))
        body = _cut(body, room - len(beside))
    return [*lines, *body, *beside, *hint]


def _cut(lines: list[str], room: int) -> list[str]:
    """Return as many lines as there is room for, the last saying how many more there are."""
    if len(lines) <= room:
        return lines
    hidden = len(lines) - room + 1
    return [*lines[: room - 1], f"  ... and {hidden} more; -v shows all of them"]


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
    width = min(max(map(len, subjects)), _SUBJECTS)
    ordered = _ordered(result, parameters)
    for i, (subject, finding) in enumerate(zip(subjects, result.findings, strict=True)):
        mark = "  <- first in backward order" if ordered and i == 0 else ""
        first, *rest = finding.text.split("\n")
        yield f"  {subject:<{width}}  {first}{mark}"
        yield from (f"      {line}" for line in rest)


def _ordered(result: CheckResult, parameters: Collection[str]) -> bool:
    """Return whether the first finding is where the change began, seen from the loss."""
    return result.reason == "drift" and sum(f.subject in parameters for f in result.findings) > 1


def _findings(
    result: CheckResult, parameters: Collection[str], *, width: int, whole: bool
) -> Iterator[str]:
    """Yield the findings of a check: what changed as a table, the rest as sentences."""
    rows = [(f, _CHANGE.fullmatch(f.text)) for f in result.findings]
    changed = [(f, row) for f, row in rows if row is not None]
    ordered = _ordered(result, parameters)
    if changed and result.reason == "drift":
        first = result.findings[0] if ordered else None
        yield from _table(result.check, changed, first, 0 if whole else width)
    else:
        changed, ordered = [], ordered and not changed
    told = [f for f, _ in rows if f not in [one for one, _ in changed]]
    label = result.reason if result.reason in _REASONS else result.check
    most = max(_LEAST_NAME, width // 2 - len(label) - 6)
    names = [f.subject if whole else shortened(f.subject, most) for f in told]
    subjects = [f"{label} [{name}]" for name in names]
    column = min(max(map(len, subjects), default=0), _SUBJECTS)
    for subject, finding in zip(subjects, told, strict=True):
        text, *rest = finding.text.split("\n")
        line = f"  {subject:<{column}}  {text}"
        lines = [line, *(f"      {more}" for more in rest)]
        yield from lines if finding.subject == "baseline" else _fitted(lines, width)


def _table(
    check: str, changed: Sequence[tuple[Finding, re.Match[str]]], first: Finding | None, width: int
) -> Iterator[str]:
    """Yield what changed, a line each, in columns; the first in backward order has its mark."""
    cells = [
        [*_short(row["was"], row["now"]), row["far"], row["allowed"], row["cosine"] or ""]
        for _, row in changed
    ]
    sizes = [max(len(head), *(len(line[i]) for line in cells)) for i, head in enumerate(_HEADS)]
    names = [_subject(finding, row) for finding, row in changed]
    title = f"{check}, > is the first in backward order" if first else check
    room = max(map(len, names)) + 4
    if width:
        room = max(_LEAST_NAME, min(room, width - sum(sizes) - 12))
    if len(title) + 2 > room:
        yield f"  {title}"
        title = ""
    yield f"  {title:<{room - 2}}  {_cells(_HEADS, sizes)}".rstrip()
    for name, line, (finding, row) in zip(names, cells, changed, strict=True):
        mark = ">" if finding is first else " "
        start = f"  {mark} {shortened(name, room - 4) if width else name}"
        rest = row["rest"].replace(", was", "  was")
        yield f"{start:<{room}}  {_cells(line, sizes)}{rest}".rstrip()


def _short(was: str, now: str) -> tuple[str, str]:
    """Return two numbers at four digits, or as they are where these would be the same."""
    try:
        short = f"{float(was):.4g}", f"{float(now):.4g}"
    except ValueError:
        return was, now
    return (was, now) if short[0] == short[1] else short


def _subject(finding: Finding, row: re.Match[str]) -> str:
    """Return what a line of the table is about."""
    what = row["what"] or ""
    return finding.subject if what in {"", "norm"} else f"{finding.subject} {what.split()[-1]}"


def _cells(line: Sequence[str], sizes: Sequence[int]) -> str:
    """Return the cells of a line: what was and what is around an arrow, then the rest."""
    was, now, *rest = line
    others = "  ".join(f"{text:>{size}}" for text, size in zip(rest, sizes[2:], strict=True))
    return f"{was:>{sizes[0]}} -> {now:<{sizes[1]}}  {others}"


def _fitted(lines: Collection[str] | Iterator[str], width: int) -> list[str]:
    """Return lines that fit; one with a command or a point stays whole, to be copied."""
    return [
        part
        for line in lines
        for part in ([line] if ": pytest " in line or ": at={" in line else wrapped(line, width))
    ]


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
