"""Under other seeds, the gradient is much the same: its noise leaves a signal."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pytest_gradcheck.checks.validate import count, number
from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.records import CheckResult, Estimate, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_gradcheck.plan import Plan
    from pytest_gradcheck.records import Measurement, Replicates

__all__ = ["FEWEST", "Concentration"]

FEWEST: Final = 4
"""Replicates below which nothing can be said of their variance."""

_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Concentration:
    """Promise a gradient that does not depend too much on the seed, nor on a few samples.

    Attributes:
        replicates: how many seeds, from the objective's own on.
        max_cv: largest coefficient of variation of the gradient norm.
        min_snr: smallest signal-to-noise ratio, bias-corrected.
        min_ess: smallest effective sample size of the weights that the loss reports, the mean over
            instances and replicates.
        max_weight: largest absolute weight.
    """

    replicates: int = 8
    max_cv: float | None = None
    min_snr: float | None = None
    min_ess: float | None = None
    max_weight: float | None = None

    def __post_init__(self) -> None:
        """Validate every argument."""
        count("replicates", self.replicates, low=FEWEST)
        for name in ("max_cv", "min_snr", "min_ess", "max_weight"):
            value = getattr(self, name)
            if value is not None:
                number(name, value, strict=True)

    @property
    def name(self) -> str:
        """The limit's name."""
        return "replicates"

    def plan(self, plan: Plan) -> Plan:
        """Add the replicates."""
        return dataclasses.replace(plan, replicates=self.replicates)

    def judge(self, measurement: Measurement) -> CheckResult:
        """Fail where a replicate is not finite, and with one finding for each broken limit.

        Raises:
            UsageError: there is a limit of weights, and the loss reports none.
        """
        found = measurement.replicates
        if found is None:
            return CheckResult(check=self.name, outcome="skipped", reason="no replicates taken")
        findings = [*self._lost(found), *self._noise(found), *self._weights(measurement, found)]
        return CheckResult(
            check=self.name,
            outcome="failed" if findings else "passed",
            findings=tuple(findings),
        )

    def _lost(self, found: Replicates) -> Iterator[Finding]:
        """Yield the seeds under which value or gradient is not finite."""
        if found.lost:
            seeds = ", ".join(map(str, found.lost[:_SHOWN]))
            more = ", ..." if len(found.lost) > _SHOWN else ""
            text = f"{len(found.lost)} of {found.count} are not finite: seed {seeds}{more}"
            yield Finding(subject="replicates", text=text)

    def _noise(self, found: Replicates) -> Iterator[Finding]:
        """Yield what is wrong with how the gradient varies."""
        if not found.each:
            return
        cv = found.cv.value
        if self.max_cv is not None and cv is not None and not cv <= self.max_cv:
            text = (
                f"coefficient of variation {cv:.3g}{_interval(found.cv)} over {len(found.each)} "
                f"seeds, max_cv {self.max_cv:g}"
            )
            yield Finding(subject="gradient norm", text=text, observed=cv, limit=self.max_cv)
        if self.min_snr is not None and not found.snr >= self.min_snr:
            squared = found.snr_squared.value
            text = (
                f"{found.snr:.3g} over {len(found.each)} seeds (squared, bias-corrected "
                f"{squared:.3g}{_interval(found.snr_squared)}), min_snr {self.min_snr:g}"
            )
            if found.snr == 0:
                text += f"; {len(found.each)} replicates cannot tell the mean gradient from zero"
            yield Finding(
                subject="signal-to-noise ratio", text=text, observed=found.snr, limit=self.min_snr
            )

    def _weights(self, measurement: Measurement, found: Replicates) -> Iterator[Finding]:
        """Yield what is wrong with the weights of the samples."""
        weighed = found.weighed
        if found.each and not weighed:
            self._refuse(measurement)
        if not weighed:
            return
        bad = sum(w.nonfinite for w in weighed)
        if bad:
            yield Finding(subject="weights", text=f"{bad} weights are NaN or Inf")
        if self.min_ess is not None and found.ess is not None and not found.ess >= self.min_ess:
            yield self._ess(found, found.ess, self.min_ess)
        largest = found.max_weight or 0.0
        if self.max_weight is not None and not largest <= self.max_weight:
            seed = next(o.seed for o in found.each if o.weights and o.weights.largest == largest)
            text = f"{largest:.6g} in absolute value (seed {seed}), max_weight {self.max_weight:g}"
            yield Finding(
                subject="largest weight", text=text, observed=largest, limit=self.max_weight
            )

    def _ess(self, found: Replicates, ess: float, limit: float) -> Finding:
        """Return the line of an effective sample size that is too small."""
        first = found.weighed[0]
        least = min(w.least for w in found.weighed)
        text = (
            f"{ess:.3g} of {first.samples} samples ({first.instances} instances, {len(found.each)} "
            f"seeds; the smallest {least:.3g}), min_ess {limit:g}"
        )
        if any(w.signed for w in found.weighed):
            absolute = math.fsum(w.ess_absolute for w in found.weighed) / len(found.weighed)
            text += (
                "; the weights have both signs, for which this is a diagnostic and no sample size "
                f"of importance sampling: with absolute weights it is {absolute:.3g}"
            )
        elif ess < 1.5:  # noqa: PLR2004 - one sample and little else
            text += "; one sample carries the weight of each instance"
        return Finding(subject="effective sample size", text=text, observed=ess, limit=limit)

    def _refuse(self, measurement: Measurement) -> None:
        """Raise where a limit of weights has no weights to act on."""
        for name in ("min_ess", "max_weight"):
            value = getattr(self, name)
            if value is not None:
                msg = (
                    f"{name}={value:g} has nothing to act on: the loss of "
                    f"'{measurement.objective}' reports no weights; return them beside the loss, "
                    "{'loss': ..., 'weights': w}, or call gradcheck.weights(w) inside it"
                )
                raise UsageError(msg)


def _interval(estimate: Estimate) -> str:
    """Return an interval in brackets; nothing where there is none."""
    if estimate.low is None:
        return ""
    high = "inf" if estimate.high is None else f"{estimate.high:.3g}"
    return f" [{estimate.low:.3g}, {high}]"
