"""One call of the fixture: measure, judge, compare, and note what is to be recorded."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_gradcheck import api
from pytest_gradcheck.checks.drift import moved_parameters
from pytest_gradcheck.drift.distribution import summary
from pytest_gradcheck.elsewhere import of_rank_0, recorder, subject
from pytest_gradcheck.errors import BaselineError
from pytest_gradcheck.limits import parse
from pytest_gradcheck.recording import sensitivity
from pytest_gradcheck.records import Measurement
from pytest_gradcheck.session.addressing import address_of
from pytest_gradcheck.session.baselines import Address, Decision, of_kind, settle
from pytest_gradcheck.session.ending import call_line
from pytest_gradcheck.session.marker import layers
from pytest_gradcheck.session.offering import NOTHING, Offered, offered_by
from pytest_gradcheck.session.saying import call_of, property_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pytest

    from pytest_gradcheck.limits import Limits
    from pytest_gradcheck.records import Objective, Verdict
    from pytest_gradcheck.session.desk import Desk
    from pytest_gradcheck.session.ledger import Found
    from pytest_gradcheck.session.run import Run

__all__ = ["check"]

_BLIND = 0.1  # relative drift that would not be seen, from where a baseline is of no use
_FAR = 0.01  # relative distance to the entry before that is worth a word in the terminal


def check(
    item: pytest.Item,
    run: Run,
    desk: Desk,
    *,
    model: object,
    loss: Callable[[], object] | None,
    options: Mapping[str, Any],
) -> Decision[Verdict]:
    """Return what is to be said of the gradients of a model, and note it on the desk.

    Args:
        item: the test.
        run: that it belongs to.
        desk: of this run of the test.
        model: as for `pytest_gradcheck.api.check_gradients`.
        loss: as there.
        options: as there.
    """
    given, written = api.split(options)
    label = desk.claim(given.pop("name", None))  # of the call, not of the model
    desk.judged += 1
    limits = parse(*layers(item, run.settings.limits), (f"the call in {item.name}", written))
    objective = subject(model, loss, given)
    address = address_of(item, run, objective.device, label)
    decision, offered, found = _decide(objective, limits, address, run, label)
    where = call_line(sys._getframe(1), str(item.path))  # noqa: SLF001 - the only way there is
    verdict, entry = decision.verdict, decision.entry
    said = call_of(
        decision,
        offered,
        address,
        found,
        run=run,
        where=where,
        moved=_moved(verdict),
        sees=lambda: _sees(entry) if isinstance(entry, Measurement) else "",
    )
    desk.calls.append(said)
    measured = verdict.measurement
    shown = property_of(said, verdict, value=repr(measured.value), norm=repr(measured.norm))
    item.user_properties.append(("gradcheck", shown))
    return decision


def _decide(
    objective: Objective | Measurement, limits: Limits, address: Address, run: Run, label: str
) -> tuple[Decision[Verdict], Offered, Found]:
    """Measure and judge, and hold against the baseline if the run has any."""
    top, pages = run.settings.top, run.settings.pages
    if run.settings.mode == "off" or not limits.drift:
        verdict = api.judged(objective, limits, name=label, top=top, histogram=pages)
        return Decision(verdict=verdict), NOTHING, "off"
    stored = of_kind(run.shelf.find(address), Measurement, address)
    stored = of_rank_0(objective, stored)
    baseline = stored if isinstance(stored, Measurement) else None
    verdict = api.judged(
        objective, limits, baseline=baseline, name=label, top=top, keep=True, histogram=pages
    )
    if baseline is not None and verdict.passed and run.settings.mode != "rewrite":
        return Decision(verdict=verdict), NOTHING, "compared"  # as `settle` says, too
    settled = partial(
        settle,
        verdict,
        stored,
        address,
        min_drift=limits.min_drift,
        warn=run.settings.warn,
        record=recorder(objective),
    )
    decision = settled(mode=run.settings.mode)
    offered = offered_by(decision, settled, stored, offers=run.settings.offers)
    if isinstance(stored, BaselineError):
        return decision, offered, "unreadable"
    return decision, offered, "missing" if stored is None else "compared"


def _moved(verdict: Verdict) -> Sequence[str]:
    """Return the parameters whose values are not those of a baseline that holds all the same."""
    drift = verdict.result("drift")
    if drift is None or not drift.findings or drift.outcome != "passed":
        return ()  # a check that passed tells of whatever moved
    if verdict.baseline is None:
        return ()
    return moved_parameters(verdict.measurement, verdict.baseline)


def _sees(entry: Measurement) -> str:
    """Return the smallest drift that a new baseline can see, and how far it is from the old one."""
    smallest, name = sensitivity(entry)
    seen = f"sees drift of {smallest:.1g} and more" + (f" (widest: {name})" if name else "")
    if smallest >= _BLIND:
        seen += ", which is next to none: does the loss draw what no seed reaches, or keep state?"
    if entry.walked >= _FAR:
        seen += f"; walked {entry.walked:.3g} from the entry it replaces"
    if entry.replicates is None or entry.replicates.identical:
        return seen
    return f"{seen}; where random streams differ, {summary(entry.replicates)}"
