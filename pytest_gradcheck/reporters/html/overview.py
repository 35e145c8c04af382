"""Gather what the overview says of each call: a verdict, a cause, and what to filter by."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_gradcheck.reporters.causes import together
from pytest_gradcheck.reporters.story import cause_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytest_gradcheck.drift.usage import Usage
    from pytest_gradcheck.reporters import ReportEntry

__all__ = ["Row", "choices", "row", "shared"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Hold one line of the overview.

    Attributes:
        number: of the call, in the order of the tests.
        module, test: of the node id, the two parts of it.
        name: of the call within its test.
        states: what one can filter by, the verdict first: ``failed``, ``drifted``, ...
        baseline: what became of the baseline.
        backend: that computed the gradient.
        cause: what the reader should know first.
        norm: of the whole gradient.
        used: the largest part of an allowance that a parameter used.
        parameters: how many there are.
        seconds: that evaluating took.
    """

    number: int
    module: str
    test: str
    name: str
    states: tuple[str, ...]
    baseline: str
    backend: str
    cause: str
    norm: float | None
    used: float | None
    parameters: int | None
    seconds: float


def row(number: int, entry: ReportEntry, used: Usage) -> Row:
    """Return the line of one call.

    Args:
        number: of the call.
        entry: what became of it.
        used: what each parameter used of its allowance.
    """
    module, _, test = entry.node_id.partition("::")
    verdict, gradients = entry.verdict, entry.gradients
    m = gradients.measurement if gradients else None
    return Row(
        number=number,
        module=module,
        test=test or module,
        name=entry.name,
        states=_states(entry),
        baseline=entry.baseline,
        backend=verdict.measurement.backend if verdict else "",
        cause=cause_of(entry),
        norm=m.norm if m else None,
        used=max(used.share, default=None),
        parameters=len(m.native.parameters) if m else None,
        seconds=entry.seconds,
    )


def shared(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Return the causes that several calls which drifted have, with these calls."""
    groups = together([one for one in rows if "drifted" in one.states], lambda one: one.cause)
    return {cause: calls for cause, calls in groups if len(calls) > 1}


def choices(values: Iterable[str]) -> Sequence[tuple[str, int]]:
    """Return what one can choose among, with how often it is there."""
    found: Counter[Any] = Counter(value for value in values if value)
    return sorted(found.items())


def _states(entry: ReportEntry) -> tuple[str, ...]:
    """Return the states of a call; whether its checks passed comes first."""
    first = "failed" if entry.failed else "passed"
    if not entry.failed and entry.outcome == "failed":
        first = "test failed"
    found = [first]
    if entry.drifted:
        found.append("drifted")
    if entry.baseline != "compared":
        found.append("no baseline" if entry.baseline == "off" else entry.baseline)
    return tuple(found)
