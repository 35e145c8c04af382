"""Hold two sets of measurements against each other, as a run holds itself against baselines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pytest_gradcheck.records import CheckResult, Measurement

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
        old, new: the measurements, ``None`` where there is none.
        result: of the drift check, where there are two.
    """

    label: str
    status: Status
    old: Measurement | None = None
    new: Measurement | None = None
    result: CheckResult | None = None

    @property
    def drifted(self) -> bool:
        """Whether the drift check failed."""
        return self.result is not None and self.result.outcome == "failed"


def compared(
    old: Mapping[str, Measurement],
    new: Mapping[str, Measurement],
    *,
    min_drift: float | None = None,
) -> Iterator[Pair]:
    """Yield every entry of two sets, judged by the allowances that the old one stores.

    Args:
        old: measurements by label.
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


def _judged(label: str, was: Measurement, now: Measurement, min_drift: float | None) -> Pair:
    """Return one entry that is in both sets."""
    from pytest_gradcheck.checks.drift import compare, recordable

    baseline = was if was.allowances else recordable(was)
    result = compare(now, baseline, min_drift=min_drift)
    status: Status = "moved" if result.findings else "same"
    if result.outcome == "failed":
        known: dict[str, Status] = {"structure": "structure", "policy": "policy", "point": "point"}
        status = known.get(result.reason, "drift")
    return Pair(label=label, status=status, old=was, new=now, result=result)
