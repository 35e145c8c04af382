"""What a call of either kind has to say to the process that keeps the ledger.

Requirements:
    A passing call that records nothing sends no verdict: only who asks for it pays for it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pytest_gradcheck.records import SeriesVerdict
from pytest_gradcheck.serialize import to_json, unstorable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypedDict, Unpack

    from pytest_gradcheck.records import CheckResult, Verdict
    from pytest_gradcheck.session.baselines import Address, Decision
    from pytest_gradcheck.session.ledger import Found, Said
    from pytest_gradcheck.session.offering import Offered
    from pytest_gradcheck.session.run import Run

    class Gradient(TypedDict, total=False):
        """What only the call of a gradient says."""

        moved: Sequence[str]
        sees: Callable[[], str]


__all__ = ["call_of", "property_of"]

_ENCODER = json.JSONEncoder(separators=(",", ":"))
_text = json.encoder.encode_basestring_ascii
_WORDS = {True: "true", False: "false"}


def call_of(
    decision: Decision[Verdict] | Decision[SeriesVerdict],
    offered: Offered,
    address: Address,
    found: Found,
    *,
    run: Run,
    where: tuple[str, int],
    **gradient: Unpack[Gradient],
) -> Said:
    """Return what a call has to say, as keywords of `pytest_gradcheck.session.ledger.Call`.

    Args:
        decision: what became of it.
        offered: what it records, or would record in an update.
        address: of its baseline.
        found: what there was of a baseline.
        run: that it belongs to.
        where: file and line of the call.
        **gradient: what only the call of a gradient says.
    """
    verdict = decision.verdict
    failures, drift = verdict.failures, verdict.result("drift")
    said: Said = {
        "path": str(address.path),
        "key": address.key,
        "baseline": found,
        "source": where[0],
        "line": where[1],
        "seconds": verdict.measurement.seconds,
    }
    if isinstance(verdict, SeriesVerdict):
        said["kind"] = "series"
    if verdict.name:
        said["name"] = verdict.name
    if verdict.warnings:
        said["warnings"] = tuple([one.line for one in verdict.warnings])
    if moved := gradient.get("moved"):
        said["moved"] = moved
    if drift is not None and drift.reason:
        said["drifted"] = verdict.drifted
    if drift is not None and found != "compared":
        said["reason"] = _first(drift)
    if run.settings.reports or failures or decision.tolerated:
        said["failed"] = tuple([result.check for result in failures])
        said["verdict"] = to_json(verdict)
    if offered.action:
        said |= _to_record(decision, offered, gradient.get("sees"))
    if found != "off" and ("verdict" in said or offered.action):
        said["command"] = address.command
    return said


def _to_record(
    decision: Decision[Verdict] | Decision[SeriesVerdict],
    offered: Offered,
    sees: Callable[[], str] | None,
) -> Said:
    """Return what a call says of the entry that it records, or would record."""
    problem = unstorable(offered.entry) if offered.entry else offered.refused
    said: Said = {"replaces": offered.replaces, "unfit": problem}
    said["action" if decision.action else "offer"] = offered.action
    if offered.entry is not None and not problem:
        said["sees"] = sees() if sees else ""
        said["entry"] = to_json(offered.entry)
    return said


def property_of(said: Said, verdict: Verdict | SeriesVerdict, **numbers: object) -> str:
    """Return what stays with the test in JUnit files and other reports, as one line of JSON.

    Args:
        said: what `call_of` returned.
        verdict: of the call.
        **numbers: that such a call is known by.
    """
    # Put together by hand: the encoder is set up anew for every object that it is given.
    checks = ",".join([f"{_text(one.check)}:{_text(one.outcome)}" for one in verdict.results])
    kind = f'"kind":{_text(said["kind"])},' if "kind" in said else ""
    more = "".join([f",{_text(name)}:{_ENCODER.encode(one)}" for name, one in numbers.items()])
    return (
        f'{{"key":{_text(said["key"])},{kind}"passed":{_WORDS[verdict.passed]},'
        f'"checks":{{{checks}}},"baseline":{_text(said["baseline"])},'
        f'"drifted":{_WORDS[verdict.drifted]}{more}}}'
    )


def _first(result: CheckResult) -> str:
    """Return the first thing that a check says."""
    return result.findings[0].text if result.findings else result.reason
