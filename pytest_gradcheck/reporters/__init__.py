"""What one run found out, and the files that it can be written to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pytest_gradcheck.records import Measurement, Scalar, SeriesVerdict, Verdict
from pytest_gradcheck.reporters.offer import Coverage, Offer
from pytest_gradcheck.reporters.writing import SUFFIXES, check_suffix, write_report, write_reports

if TYPE_CHECKING:
    from typing import Self

__all__ = [
    "SCHEMA_VERSION",
    "SUFFIXES",
    "BaselineStatus",
    "Report",
    "ReportEntry",
    "check_suffix",
    "write_report",
    "write_reports",
]

SCHEMA_VERSION = 1

BaselineStatus = Literal["compared", "recorded", "withheld", "missing", "unreadable", "off"]


@dataclass(slots=True, kw_only=True)  # not frozen, which takes long to make
class ReportEntry:
    """Hold what became of one ``gradcheck`` call; nobody changes it.

    Attributes:
        node_id: of the test.
        name: of the call within its test.
        outcome: of the test, which may differ from the verdict's: ``passed``, ``failed``, ...
        baseline: what was done with the baseline of the call.
        reason: why it was withheld, is missing or cannot be read; what drift a new one can see.
        drifted: whether the gradient, the point or the structure is not that of the baseline.
        failed: names of the checks that failed.
        warnings: what deserves a look though it failed nothing, one line each.
        seconds: spent in evaluating the model.
        verdict: the whole story; ``None`` where only the outcome is known.
        command: that records the measurement as the new baseline; empty where there is none.
        source, line: file and line of the call; the file from the root of the project.
        file, key: of the baseline, in which the entry is, and of the entry; empty where none is
            looked for.
        offer: what an update records or would record, where it does.
    """

    node_id: str
    name: str
    outcome: str
    baseline: BaselineStatus
    reason: str = ""
    drifted: bool = False
    failed: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
    verdict: Verdict | SeriesVerdict | None = None
    command: str = ""
    source: str = ""
    line: int = 0
    file: str = ""
    key: str = ""
    offer: Offer | None = None

    @property
    def title(self) -> str:
        """The test, and the name of the call where it has one."""
        return f"{self.node_id}::{self.name}" if self.name else self.node_id

    @property
    def walked(self) -> float:
        """Relative distance of the entry to record, or to offer, to the one that it replaces."""
        entry = self.offer.entry if self.offer else None
        return entry.walked if isinstance(entry, Measurement) else 0.0

    @property
    def gradients(self) -> Verdict | None:
        """The verdict of a call that judged one gradient, ``None`` for a training run."""
        return self.verdict if isinstance(self.verdict, Verdict) else None

    @classmethod
    def of(
        cls,
        verdict: Verdict | SeriesVerdict,
        *,
        node_id: str,
        outcome: str,
        baseline: BaselineStatus,
        reason: str = "",
    ) -> Self:
        """Return the entry of a call whose verdict is known."""
        return cls(
            node_id=node_id,
            name=verdict.name,
            outcome=outcome,
            baseline=baseline,
            reason=reason,
            drifted=verdict.drifted,
            failed=tuple([result.check for result in verdict.failures]),
            warnings=tuple([one.line for one in verdict.warnings]),
            seconds=verdict.measurement.seconds,
            verdict=verdict,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Hold what one run found out.

    Attributes:
        environment: versions, platform, device.
        settings: what the command line and the ini file asked for.
        entries: one for each call, in the order of the tests.
        unused: baselines that no test used, one line each.
        pruned: baselines that were deleted, one line each.
        notes: what else the reader should know: why nothing was pruned.
        coverage: which tests the run knew and ran.
        folder: of the project within its repository, where GitLab says what that is; empty for the
            whole of it. No report holds it but that for GitLab.
    """

    environment: Mapping[str, Scalar] = field(default_factory=dict)
    settings: Mapping[str, Scalar] = field(default_factory=dict)
    entries: tuple[ReportEntry, ...] = ()
    unused: tuple[str, ...] = ()
    pruned: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    coverage: Coverage | None = None
    folder: str = ""

    @property
    def passed(self) -> bool:
        """Whether no check failed in any call."""
        return not any(entry.failed for entry in self.entries)

    @property
    def counts(self) -> dict[str, int]:
        """How many calls were checked, failed, drifted; what became of their baselines."""
        status = Counter(entry.baseline for entry in self.entries)
        return {
            "checked": len(self.entries),
            "failed": sum(bool(entry.failed) for entry in self.entries),
            "drifted": sum(entry.drifted for entry in self.entries),
            "missing": status["missing"],
            "unreadable": status["unreadable"],
            "recorded": status["recorded"],
            "withheld": status["withheld"],
            "unused": len(self.unused),
            "pruned": len(self.pruned),
        }

    @property
    def withheld(self) -> tuple[ReportEntry, ...]:
        """The calls whose baselines were not written though the run was to write them."""
        return tuple(entry for entry in self.entries if entry.baseline == "withheld")

    @property
    def seconds(self) -> float:
        """Time spent in evaluating models."""
        return sum(entry.seconds for entry in self.entries)
