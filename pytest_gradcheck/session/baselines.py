"""Which baseline a call compares with, and what becomes of it.

Requirements:
    Nothing is created silently: a missing baseline fails, with the command that records it. An
    entry within its allowance is never rewritten, so that an update touches only what changed. A
    file that cannot be read fails the tests that need it, and only an update replaces it.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pytest_gradcheck.checks.drift import recordable, refreshed, walked
from pytest_gradcheck.errors import BaselineError
from pytest_gradcheck.records import (
    CheckResult,
    Finding,
    Kept,
    Measurement,
    SeriesBaseline,
    SeriesVerdict,
    Verdict,
)
from pytest_gradcheck.session.ledger import Action

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_gradcheck.session.settings import Mode

__all__ = ["Address", "Decision", "of_kind", "settle"]


Judged = TypeVar("Judged", Verdict, SeriesVerdict)
"""Of a gradient, or of a training run: what becomes of it is the same."""


Kind = TypeVar("Kind", Measurement, SeriesBaseline)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Hold where the baseline of one call lies.

    Attributes:
        path: of the file.
        key: of the entry in it.
        words: of the command that records the entry.
    """

    path: Path
    key: str
    words: tuple[str, ...]

    @property
    def command(self) -> str:
        """The command that records the entry, to be typed."""
        return shlex.join(self.words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision(Generic[Judged]):
    """Hold the verdict once the mode of the run has had its say, and what to record.

    Attributes:
        verdict: with the drift check last.
        action: ``create`` an entry, ``rewrite`` it, or leave it.
        entry: what to record, where there is an action.
        tolerated: the verdict that failed, where drift is only warned about.
    """

    verdict: Judged
    action: Action = ""
    entry: Kept | None = None
    tolerated: Judged | None = None


def of_kind(
    stored: Kept | BaselineError | None, kind: type[Kind], address: Address
) -> Kind | BaselineError | None:
    """Return an entry if it keeps what is to be compared, else say that it does not."""
    if stored is None or isinstance(stored, kind | BaselineError):
        return stored
    what = "a single gradient" if isinstance(stored, Measurement) else "a training run"
    return BaselineError(
        f"the entry {address.key!r} in {address.path.name} keeps {what}, which this call is not; "
        "run again with --grad-baseline-update to record it anew, or give the call its own name="
    )


def settle(  # noqa: PLR0911 - one for each thing that can become of a verdict
    verdict: Judged,
    stored: Kept | BaselineError | None,
    address: Address,
    *,
    mode: Mode,
    min_drift: float | None = None,
    warn: bool = False,
    record: Callable[[Any], Kept] = recordable,
    refresh: Callable[[Any, Any], Kept] | None = None,
) -> Decision[Judged]:
    """Say what the mode of the run makes of a verdict.

    Args:
        verdict: with the result of the drift check last, if there was a baseline.
        stored: the baseline, as `pytest_gradcheck.session.shelf.Shelf.find` returned it.
        address: of the baseline.
        mode: of the run; not ``off``.
        min_drift: the smallest drift to report, as the user set it.
        warn: whether drift is to be tolerated for now.
        record: makes a baseline of what was judged: measures its noise.
        refresh: makes of a new baseline and the old one what replaces it, by default for gradients.

    Returns:
        The final verdict, and what to record if the test passes everything else.
    """
    if isinstance(stored, BaselineError):
        if mode in {"update", "rewrite"}:
            return _create(verdict, record, "its unreadable file is made anew if the test passes")
        return Decision(verdict=_with(verdict, _failed("unreadable", str(stored))))
    if stored is None:
        if mode == "check":
            return Decision(verdict=_with(verdict, _missing(address)))
        return _create(verdict, record, "no baseline yet: recorded if the test passes")
    if mode == "rewrite":
        new = record(verdict.measurement)
        if isinstance(new, Measurement) and isinstance(stored, Measurement):
            new = replace(new, walked=walked(new, stored))
        return _rewrite(verdict, new)
    if verdict.results[-1].outcome == "failed":
        if mode == "update":
            renew = refresh or partial(refreshed, min_drift=min_drift)
            return _rewrite(verdict, renew(record(verdict.measurement), stored))
        return _tolerated(verdict) if warn else Decision(verdict=verdict)
    return Decision(verdict=verdict)


def _tolerated(verdict: Judged) -> Decision[Judged]:
    """Return the decision to warn of drift."""
    reason = f"{verdict.results[-1].reason}: tolerated by --grad-drift=warn"
    return Decision(verdict=_excused(verdict, reason), tolerated=verdict)


def _create(verdict: Judged, record: Callable[[Any], Kept], reason: str) -> Decision[Judged]:
    """Return the decision to record a new entry."""
    result = CheckResult(check="drift", outcome="skipped", reason=reason)
    entry = record(verdict.measurement)
    return Decision(verdict=_with(verdict, result), action="create", entry=entry)


def _rewrite(verdict: Judged, entry: Kept) -> Decision[Judged]:
    """Return the decision to replace an entry."""
    result = verdict.results[-1]
    moved = f"{result.reason}: " if result.outcome == "failed" else ""
    reason = f"{moved}re-recorded if the test passes"
    return Decision(verdict=_excused(verdict, reason), action="rewrite", entry=entry)


def _with(verdict: Judged, result: CheckResult) -> Judged:
    """Return a verdict without a baseline, with why there is none."""
    return replace(verdict, results=(*verdict.results, result))


def _excused(verdict: Judged, reason: str) -> Judged:
    """Return a verdict whose drift does not fail, and says why."""
    result = replace(verdict.results[-1], outcome="skipped", reason=reason)
    return replace(verdict, results=(*verdict.results[:-1], result))


def _missing(address: Address) -> CheckResult:
    """Return the failure of a test without a baseline."""
    folder, function = address.path.parent, address.path.stem.partition("@")[0]
    text = f"no entry {address.key!r} in {folder.parent.name}/{folder.name}/{address.path.name}"
    names = sorted(path.name for path in folder.glob("*.json")) if folder.is_dir() else []
    others = [n for n in names if n.partition("@")[0].removesuffix(".json") == function]
    if others and address.path.name not in others:
        text += f"; of other variants there are {', '.join(others)}"
    return _failed("missing", text, hint=f"record it with: {address.command}")


def _failed(reason: str, text: str, hint: str = "") -> CheckResult:
    """Return a drift check that failed for want of a baseline."""
    return CheckResult(
        check="drift",
        outcome="failed",
        reason=reason,
        findings=(Finding(subject="baseline", text=text),),
        hints=(hint,) if hint else (),
    )
