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
from pytest_gradcheck.records import Measurement, Scalar, SeriesVerdict, Verdict
from pytest_gradcheck.reporters.offer import Coverage, Offer

if TYPE_CHECKING:
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
]

SCHEMA_VERSION = 1
SUFFIXES = (".json", ".jsonl", ".md", ".html", ".pkl", ".codequality.json")

BaselineStatus = Literal["compared", "recorded", "withheld", "missing", "unreadable", "off"]

_DRIFTED = ("drift", "structure", "policy", "point")


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
    from pytest_gradcheck.atomic import replace_file

    data = _render(check_suffix(path), report, top)
    try:
        replace_file(path, data)
    except OSError as error:
        msg = f"the report {path} cannot be written: {error.strerror or error}"
        raise UsageError(msg) from None


def _render(suffix: str, report: Report, top: int) -> bytes:
    """Return the content of a report file; only the module of its format is loaded."""
    if suffix == ".json":
        from pytest_gradcheck.reporters.as_json import json_text

        return json_text(report).encode()
    if suffix == ".jsonl":
        from pytest_gradcheck.reporters.as_jsonl import jsonl_text

        return jsonl_text(report).encode()
    if suffix == ".codequality.json":
        from pytest_gradcheck.reporters.codequality import codequality_text

        return codequality_text(report).encode()
    if suffix == ".pkl":
        from pytest_gradcheck.reporters.as_pickle import pickle_bytes

        return pickle_bytes(report)
    if suffix == ".html":
        from pytest_gradcheck.reporters.html import html_text

        return html_text(report, top=top).encode("utf-8", "backslashreplace")
    from pytest_gradcheck.reporters.markdown import markdown_text

    return markdown_text(report, top=top).encode("utf-8", "backslashreplace")
