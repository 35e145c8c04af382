"""What one run found out, and the files that it can be written to.

Requirements:
    A report is complete or absent, never half a file. A path whose format is unknown is refused by
    `check_suffix` before the first test runs, not after the last one.
"""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pytest_gradcheck.errors import MissingExtraError, UsageError
from pytest_gradcheck.records import Scalar, SeriesVerdict, Verdict
from pytest_gradcheck.reporters.offer import Coverage, Offer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
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
SUFFIXES = (".json", ".jsonl", ".md", ".html", ".pkl", ".codequality.json")

BaselineStatus = Literal["compared", "recorded", "withheld", "missing", "unreadable", "off"]

_WHOLE = (".json", ".jsonl", ".pkl")  # hold everything, and are written together
_DRIFTED = ("drift", "structure", "point")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportEntry:
    """Hold what became of one ``gradcheck`` call.

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
        drift = verdict.result("drift")
        return cls(
            node_id=node_id,
            name=verdict.name,
            outcome=outcome,
            baseline=baseline,
            reason=reason,
            drifted=drift is not None and drift.reason.partition(":")[0] in _DRIFTED,
            failed=tuple(result.check for result in verdict.failures),
            warnings=tuple(f"[{one.subject}] {one.text}" for one in verdict.warnings),
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
    """

    environment: Mapping[str, Scalar] = field(default_factory=dict)
    settings: Mapping[str, Scalar] = field(default_factory=dict)
    entries: tuple[ReportEntry, ...] = ()
    unused: tuple[str, ...] = ()
    pruned: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    coverage: Coverage | None = None

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


def check_suffix(path: Path) -> str:
    """Return the format that a path asks for.

    Raises:
        UsageError: there is no such format; the message lists those there are.
        MissingExtraError: the format needs a package that is not installed.
    """
    suffix = path.suffix.lower()
    double = "".join(path.suffixes[-2:]).lower()
    if double not in SUFFIXES and suffix not in SUFFIXES:
        known = " ".join(SUFFIXES)
        msg = f"{path.name}: the format of a report is told by its suffix, one of {known}"
        raise UsageError(msg)
    if suffix == ".html" and importlib.util.find_spec("jinja2") is None:
        msg = (
            f"{path.name}: a page needs Jinja2, which is not installed; "
            'install it with: pip install "pytest-gradcheck[html]"'
        )
        raise MissingExtraError(msg)
    return double if double in SUFFIXES else suffix


def write_report(path: Path, report: Report, *, top: int = 20) -> None:
    """Write a report in the format that its path asks for.

    Args:
        path: of the file; its folder must exist.
        report: what to write.
        top: the most rows in a table of elements.

    Raises:
        UsageError: the format is unknown, or the file cannot be written; it is as before.
    """
    for problem in write_reports([path], report, top=top).values():
        raise UsageError(problem)


def write_reports(paths: Sequence[Path], report: Report, *, top: int = 20) -> dict[Path, str]:
    """Write a report into several files, each in the format that its path asks for.

    Args:
        paths: of the files; their folders must exist.
        report: what to write.
        top: the most rows in a table of elements.

    Returns:
        Why files could not be written, which are as before; the others are.

    Raises:
        UsageError: a format is unknown; nothing was written.
    """
    from pytest_gradcheck.atomic import replace_file

    formats = {path: check_suffix(path) for path in paths}
    whole = {path: suffix for path, suffix in formats.items() if suffix in _WHOLE}
    failed: dict[Path, OSError] = {}
    if whole:
        from pytest_gradcheck.reporters.machine import write_machine

        failed |= write_machine(report, whole)
    for path, suffix in formats.items():
        if path not in whole:
            try:
                replace_file(path, _render(suffix, report, top).encode("utf-8", "backslashreplace"))
            except OSError as error:
                failed[path] = error
    return {
        path: f"the report {path} cannot be written: {failed[path].strerror or failed[path]}"
        for path in paths
        if path in failed
    }


def _render(suffix: str, report: Report, top: int) -> str:
    """Return the text of a report for people; only the module of its format is loaded."""
    if suffix == ".codequality.json":
        from pytest_gradcheck.reporters.codequality import codequality_text

        return codequality_text(report)
    if suffix == ".html":
        from pytest_gradcheck.reporters.html import html_text

        return html_text(report, top=top)
    from pytest_gradcheck.reporters.markdown import markdown_text

    return markdown_text(report, top=top)
