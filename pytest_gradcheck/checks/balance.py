"""No component, and no parameter, drowns the others."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from pytest_gradcheck.checks.validate import number
from pytest_gradcheck.drift.allowance import NUMERICALLY_ZERO
from pytest_gradcheck.records import CheckResult, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_gradcheck.plan import Plan
    from pytest_gradcheck.records import ComponentStats, Measurement

__all__ = ["Balance"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """Promise that gradient norms of components, or of parameters, are of similar size.

    Attributes:
        max_ratio: largest ratio between the gradient norms of two components.
        max_share: largest share of one component in the sum of all components' norms.
        min_cosine: smallest cosine between the gradients of two components.
        max_parameter_ratio: largest ratio between the RMS gradients of two parameters.
    """

    max_ratio: float | None = None
    max_share: float | None = None
    min_cosine: float | None = None
    max_parameter_ratio: float | None = None

    def __post_init__(self) -> None:
        """Validate every argument."""
        if self.max_ratio is not None:
            number("balance", self.max_ratio, low=1.0)
        if self.max_share is not None:
            number("max_share", self.max_share, high=1.0, strict=True)
        if self.min_cosine is not None:
            number("min_cosine", self.min_cosine, low=-1.0, high=1.0)
        if self.max_parameter_ratio is not None:
            number("balance_parameters", self.max_parameter_ratio, low=1.0)

    @property
    def name(self) -> str:
        """The limit's name."""
        return "balance"

    def plan(self, plan: Plan) -> Plan:
        """Need nothing beyond the point."""
        return plan

    def judge(self, measurement: Measurement) -> CheckResult:
        """Fail with one finding for each limit, naming the two that differ most."""
        components = measurement.native.components
        findings = list(self._parameters(measurement))
        limits = {
            "balance": self.max_ratio,
            "max_share": self.max_share,
            "min_cosine": self.min_cosine,
        }
        given = [name for name, limit in limits.items() if limit is not None]
        if given:
            if len(components) < 2:  # noqa: PLR2004 - a balance needs two
                lifted = ", ".join(f"{name}=None" for name in given)
                text = (
                    f"needs at least two components, found {len(components)}; return the loss as "
                    "a mapping, {'recon': ..., 'kl': ...}, or lift a limit that is written for "
                    f"other tests: {lifted}"
                )
                findings.append(Finding(subject="components", text=text))
            else:
                findings += [*self._ratio(components), *self._share(components)]
                findings += self._cosine(components)
        return CheckResult(
            check=self.name,
            outcome="failed" if findings else "passed",
            findings=tuple(findings),
        )

    def _ratio(self, components: Sequence[ComponentStats]) -> Iterator[Finding]:
        """Yield the two components whose norms differ most, if by too much."""
        if self.max_ratio is not None:
            sizes = [(c.norm, f"component {c.name}") for c in components]
            yield from _too_far(sizes, self.max_ratio, "gradient norm", "balance")

    def _share(self, components: Sequence[ComponentStats]) -> Iterator[Finding]:
        """Yield the components with too large a share."""
        for c in components:
            if self.max_share is not None and not c.share <= self.max_share:
                yield Finding(
                    subject=f"component {c.name}",
                    text=f"share {c.share:.3f} of the gradient norms, max_share {self.max_share:g}",
                    observed=c.share,
                    limit=self.max_share,
                )

    def _cosine(self, components: Sequence[ComponentStats]) -> Iterator[Finding]:
        """Yield the pairs of components that pull too much against each other."""
        for i, j in combinations(range(len(components)), 2):
            cosine = components[i].cosines[j]
            if self.min_cosine is not None and not cosine >= self.min_cosine:
                yield Finding(
                    subject=f"components {components[i].name}, {components[j].name}",
                    text=f"cosine {cosine:.3f}, min_cosine {self.min_cosine:g}",
                    observed=cosine,
                    limit=self.min_cosine,
                )

    def _parameters(self, measurement: Measurement) -> Iterator[Finding]:
        """Yield the two parameters whose RMS gradients differ most, if by too much."""
        if self.max_parameter_ratio is None:
            return
        floor = NUMERICALLY_ZERO * measurement.norm
        sizes = [(p.rms, p.name) for p in measurement.native.parameters if p.norm > floor]
        yield from _too_far(sizes, self.max_parameter_ratio, "gradient RMS", "balance_parameters")


def _too_far(
    sizes: list[tuple[float, str]], limit: float, what: str, option: str
) -> Iterator[Finding]:
    """Yield one finding if the largest is more than `limit` times the smallest."""
    if not sizes:
        return
    (low, small), (high, large) = min(sizes), max(sizes)
    ratio = high / low if low > 0 else (math.inf if high > 0 else 1.0)
    if not ratio <= limit:
        text = (
            f"{what} {high:.6g} against {low:.6g} of {small}: ratio {ratio:.4g}, {option} {limit:g}"
        )
        yield Finding(subject=large, text=text, observed=ratio, limit=limit)
