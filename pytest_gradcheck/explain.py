"""Turn a verdict into the lines that a reader needs, the first one the most."""

from __future__ import annotations

import re
from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING, Final

from pytest_gradcheck.tabling import LEAST_NAME, Change, change_lines, short_pair
from pytest_gradcheck.wording import fitted, shortened

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from pytest_gradcheck.records import CheckResult, Finding, Measurement, Verdict

__all__ = ["MAX_LINES", "WIDTH", "cut", "explain", "finding_lines", "hints"]

MAX_LINES: Final = 40
WIDTH: Final = 100

_LEAST_BODY = 8  # lines that the findings keep, however much there is to say beside them
_TEXT = 32  # columns that a sentence keeps beside its subject
_COMPONENT = "component "
_WHOLE = 20  # columns that a name has in any table at 80 columns
_SUBJECTS = 48  # columns
_POINTS = 4  # of perturbed points with one and the same fault
_UPDATE = "--grad-baseline-update"
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
    lines = fitted([f"{title}: {_summary(verdict)}"], width)
    beside = [*_causes(failures), *_environment(verdict), *_reproduce(m)]
    beside, hint = fitted(beside, width), fitted(hints(failures), width)
    names = {p.name for p in m.native.parameters}
    body = [
        line for result in failures for line in _findings(result, names, width=width, whole=verbose)
    ]
    if not verbose:
        room = MAX_LINES - len(lines) - len(hint)
        beside = cut(beside, room - min(len(body), _LEAST_BODY))
        body = cut(body, room - len(beside))
    return [*lines, *body, *beside, *hint]


def cut(lines: list[str], room: int) -> list[str]:
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


def hints(failures: Sequence[CheckResult]) -> Iterator[str]:
    """Yield the first hint there is: one for the whole message, and one that can be followed.

    Args:
        failures: the checks that failed. While others than drift are among them no baseline is
            recorded, so that the hint to record one gives way to that.
    """
    others = [result.check for result in failures if result.check != "drift"]
    for result in failures:
        for hint in result.hints:
            if others and result.check == "drift" and _UPDATE in hint:
                names, fail = " and ".join(others), "fails" if len(others) == 1 else "fail"
                yield f"  hint: no baseline is recorded while {names} {fail}: see to that first"
            else:
                yield f"  hint: {hint}"
            return


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
    told = list(result.findings)
    if changed and result.reason == "drift":
        first = result.findings[0] if ordered and rows[0][1] is not None else None
        yield from _changes(result.check, changed, first, 0 if whole else width)
        told = [f for f, row in rows if row is None]
    label = result.reason if result.reason in _REASONS else result.check
    most = max(LEAST_NAME, width - len(label) - _TEXT)
    names = [f.subject if whole else shortened(f.subject, most) for f in told]
    subjects = [f"{label} [{name}]" for name in names]
    column = min(max(map(len, subjects), default=0), _SUBJECTS)
    pairs = zip(subjects, told, strict=True)
    for _, alike in groupby(pairs, key=lambda pair: pair[1].text):
        group = list(alike)
        few = not whole and result.check == "perturb" and len(group) > _POINTS
        for subject, finding in group[:_POINTS] if few else group:
            text, *rest = finding.text.split("\n")
            line = f"  {subject:<{column}}  {text}"
            lines = [line, *(f"      {more}" for more in rest)]
            yield from lines if finding.subject == "baseline" else fitted(lines, width)
        if few:
            yield f"  ... and {len(group) - _POINTS} more points like these; -v shows all of them"


def _changes(
    check: str, changed: Sequence[tuple[Finding, re.Match[str]]], first: Finding | None, width: int
) -> Iterator[str]:
    """Yield what changed, a line each, in columns; the first in backward order has its mark."""
    directed = any(row["cosine"] for _, row in changed)
    numbers = Counter(finding.subject for finding, _ in changed)
    marked, changes = None, []
    for finding, row in changed:
        was, now = short_pair(row["was"], row["now"])
        what = (row["what"] or "").rpartition(" ")[2]
        component = finding.subject.startswith(_COMPONENT)
        long = len(finding.subject) + 1 + len(what) > _WHOLE
        grouped = component and (long or numbers[finding.subject] > 1)
        cosine = (row["cosine"] or "",) if directed else ()
        one = Change(
            name=what if grouped else f"{finding.subject}{f' {what}' if component else ''}",
            group=finding.subject if grouped else "",
            was=was,
            now=now,
            others=(row["far"], row["allowed"], *cosine),
            remark=row["rest"].strip(", "),
        )
        changes.append(one)
        marked = one if finding is first else marked
    title = f"{check}, > is the first in backward order" if first else check
    heads = _HEADS if directed else _HEADS[:-1]
    yield from change_lines(title, heads, changes, marked=marked, width=width)


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
