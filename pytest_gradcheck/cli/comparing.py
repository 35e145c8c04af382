"""Hold two sets of entries against each other, as a run holds itself against baselines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pytest_gradcheck.records import CheckResult, Finding, Kept, Measurement, SeriesBaseline

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Pair", "Status", "compared"]

Status = Literal["same", "moved", "drift", "structure", "policy", "point", "added", "removed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Hold one entry before and after.

    Attributes:
        label: of the entry, ``file::key``.
        status: ``moved`` for a start that moved while the gradient did not; the reason of the
            drift check where it failed.
        old, new: what was kept, ``None`` where there is none.
        result: of the drift check, where there are two.
    """

    label: str
    status: Status
    old: Kept | None = None
    new: Kept | None = None
    result: CheckResult | None = None

    @property
    def drifted(self) -> bool:
        """Whether the drift check failed."""
        return self.result is not None and self.result.outcome == "failed"


def compared(
    old: Mapping[str, Kept],
    new: Mapping[str, Kept],
    *,
    min_drift: float | None = None,
) -> Iterator[Pair]:
    """Yield every entry of two sets, judged by the allowances that the old one stores.

    Args:
        old: entries by label.
        new: the same later.
        min_drift: relative drift to ignore.
    """
    for label in sorted({*old, *new}):
        was, now = old.get(label), new.get(label)
        if was is None:
            yield Pair(label=label, status="added", new=now)
        elif now is None:
            yield Pair(label=label, status="removed", old=was)
        else:
            yield _judged(label, was, now, min_drift)


def _judged(label: str, was: Kept, now: Kept, min_drift: float | None) -> Pair:
    """Return one entry that is in both sets."""
    result = _result(was, now, min_drift)
    status: Status = "moved" if result.findings else "same"
    if result.outcome == "failed":
        known: dict[str, Status] = {"structure": "structure", "policy": "policy", "point": "point"}
        status = known.get(result.reason, "drift")
    return Pair(label=label, status=status, old=was, new=now, result=result)


def _result(was: Kept, now: Kept, min_drift: float | None) -> CheckResult:
    """Return what the drift check says of two entries, each a gradient or a training run."""
    if isinstance(was, Measurement) and isinstance(now, Measurement):
        from pytest_gradcheck.checks.drift import compare, recordable

        baseline = was if was.allowances else recordable(was)
        return compare(now, baseline, min_drift=min_drift)
    if isinstance(was, SeriesBaseline) and isinstance(now, SeriesBaseline):
        from pytest_gradcheck.series.baseline import compare_kept

        return compare_kept(now, was, min_drift=min_drift)
    kinds = (
        "a gradient" if isinstance(one, Measurement) else "a training run" for one in (was, now)
    )
    finding = Finding(subject="baseline", text=" -> ".join(kinds))
    return CheckResult(check="drift", outcome="failed", reason="structure", findings=(finding,))
