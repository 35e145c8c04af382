"""What a call of either kind has to say to the process that keeps the ledger.

Requirements:
    A passing call that records nothing sends no verdict: only who asks for it pays for it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pytest_gradcheck.records import SeriesVerdict
from pytest_gradcheck.serialize import to_json, unstorable
from pytest_gradcheck.session.ledger import Call

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypedDict, Unpack

    from pytest_gradcheck.records import CheckResult, Verdict
    from pytest_gradcheck.session.baselines import Address, Decision
    from pytest_gradcheck.session.ledger import Found
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
) -> Call:
    """Return what a call has to say.

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
    failures = verdict.failures
    told = run.settings.reports or failures or decision.tolerated
    problem = unstorable(offered.entry) if offered.entry else offered.refused
    keep = offered.entry is not None and not problem
    drift = verdict.result("drift")
    return Call(
        kind="series" if isinstance(verdict, SeriesVerdict) else "gradient",
        name=verdict.name,
        path=str(address.path),
        key=address.key,
        baseline=found,
        action=decision.action,
        offer="" if decision.action else offered.action,
        replaces=offered.replaces,
        source=where[0],
        line=where[1],
        failed=tuple([result.check for result in failures]),
        drifted=verdict.drifted,
        moved=gradient.get("moved", ()),
        reason="" if drift is None or found == "compared" else _first(drift),
        unfit=problem,
        sees=gradient["sees"]() if keep and "sees" in gradient else "",
        warnings=tuple([one.line for one in verdict.warnings]),
        seconds=verdict.measurement.seconds,
        entry=to_json(offered.entry) if keep else None,
        verdict=to_json(verdict) if told else None,
        command=address.command if found != "off" and (told or offered.action) else "",
    )


def property_of(call: Call, verdict: Verdict | SeriesVerdict, **numbers: object) -> str:
    """Return what stays with the test in JUnit files and other reports, as one line of JSON.

    Args:
        call: what it said.
        verdict: of the call.
        **numbers: that such a call is known by.
    """
    # Put together by hand: the encoder is set up anew for every object that it is given.
    checks = ",".join([f"{_text(one.check)}:{_text(one.outcome)}" for one in verdict.results])
    kind = "" if call.kind == "gradient" else f'"kind":{_text(call.kind)},'
    more = "".join([f",{_text(name)}:{_ENCODER.encode(one)}" for name, one in numbers.items()])
    return (
        f'{{"key":{_text(call.key)},{kind}"passed":{_WORDS[not call.failed]},'
        f'"checks":{{{checks}}},"baseline":{_text(call.baseline)},'
        f'"drifted":{_WORDS[call.drifted]}{more}}}'
    )


def _first(result: CheckResult) -> str:
    """Return the first thing that a check says."""
    return result.findings[0].text if result.findings else result.reason
