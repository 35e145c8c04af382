"""Note on the desk what has no baseline: comparisons of estimators and sweeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_gradcheck.explain import explain
from pytest_gradcheck.records import CheckResult, Verdict
from pytest_gradcheck.reporters.plain import plain_lines
from pytest_gradcheck.serialize import to_json
from pytest_gradcheck.session.frames import message_width

if TYPE_CHECKING:
    from pytest_gradcheck.estimators import Comparison
    from pytest_gradcheck.session.desk import Desk
    from pytest_gradcheck.session.ledger import Said
    from pytest_gradcheck.session.run import Run
    from pytest_gradcheck.sweep import Sweep

__all__ = ["note_comparison", "note_sweep"]


def note_comparison(run: Run, desk: Desk, found: Comparison, *, where: tuple[str, int]) -> None:
    """Note a comparison for the reports; `where` is the file and the line of the call."""
    verdict = Verdict(
        name=_label(desk, "compare"),
        measurement=found.measurement,
        results=(),
        tables=(found.table,),
    )
    _note(run, desk, verdict, where)


def note_sweep(run: Run, desk: Desk, found: Sweep, *, where: tuple[str, int]) -> str:
    """Note a sweep for the reports, and return its story; `where` as for a comparison."""
    result = CheckResult(
        check="sweep",
        outcome="passed" if found.passed else "failed",
        findings=found.findings,
    )
    verdict = Verdict(
        name=_label(desk, "sweep"),
        measurement=found.stops[0].measurement,
        results=(result,),
        limits={name: f"{limit:g}" for name, limit in found.limits.items()},
        tables=(found.table,),
    )
    _note(run, desk, verdict, where)
    width = message_width()
    return "\n".join([*explain(verdict, width=width), "", *plain_lines(found.table, width=width)])


def _label(desk: Desk, kind: str) -> str:
    """Return the name of the next study of a kind within its test."""
    number = 1 + sum(call.get("name", "").partition(" ")[0] == kind for call in desk.calls)
    return kind if number == 1 else f"{kind} {number}"


def _note(run: Run, desk: Desk, verdict: Verdict, where: tuple[str, int]) -> None:
    """Put a call on the desk that compares with no baseline."""
    said: Said = {
        "name": verdict.name,
        "path": "",
        "key": "",
        "source": where[0],
        "line": where[1],
        "failed": [result.check for result in verdict.failures],
        "seconds": verdict.measurement.seconds,
    }
    if run.settings.reports or not verdict.passed:
        said["verdict"] = to_json(verdict)
    desk.calls.append(said)
