"""What a call records, and what it offers to record later without a new run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, TypeVar

from pytest_gradcheck.errors import BaselineError
from pytest_gradcheck.filing import digest
from pytest_gradcheck.records import Kept, SeriesVerdict, Verdict
from pytest_gradcheck.session.ledger import Action

if TYPE_CHECKING:
    from pytest_gradcheck.session.baselines import Decision
    from pytest_gradcheck.session.settings import Mode

__all__ = ["NOTHING", "Offered", "offered_by"]

Judged = TypeVar("Judged", Verdict, SeriesVerdict)


class Settle(Protocol[Judged]):
    """Say what a mode makes of a verdict."""

    def __call__(self, *, mode: Mode) -> Decision[Judged]:
        """Return the decision; an update measures the noise of what it records."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """Hold what a call records, or would record in an update.

    Attributes:
        entry: what was measured, with its allowances.
        action: what becomes of the baseline's entry.
        replaces: digest of the entry that was compared with.
        refused: why there is no entry.
    """

    entry: Kept | None = None
    action: Action = ""
    replaces: str = ""
    refused: str = ""


NOTHING = Offered()


def offered_by(
    decision: Decision[Judged],
    settle: Settle[Judged],
    stored: Kept | BaselineError | None,
    *,
    offers: bool,
) -> Offered:
    """Return what a call records, or what an update would record of it.

    Args:
        decision: what became of the call in the mode of the run.
        settle: makes such a decision in any mode.
        stored: the baseline that there is, or why nobody can tell.
        offers: whether the run leaves what it measured for later.
    """
    offered = Offered(entry=decision.entry, action=decision.action)
    if offers and _is_about_the_baseline(decision):
        offered = _offered(settle, decision, "create" if stored is None else "rewrite")
    if stored is None or isinstance(stored, BaselineError) or not offered.action:
        return offered
    return replace(offered, replaces=digest(stored))


def _is_about_the_baseline(decision: Decision[Judged]) -> bool:
    """Return whether an update would have something to record."""
    failed = {result.check for result in decision.verdict.failures}
    return not decision.action and ("drift" in failed or decision.tolerated is not None)


def _offered(settle: Settle[Judged], decision: Decision[Judged], action: Action) -> Offered:
    """Return what an update would record, or why it cannot; the failure at hand goes first.

    Nothing is measured where another check failed too: nothing would be recorded.
    """
    if {result.check for result in decision.verdict.failures} - {"drift"}:
        return Offered(action=action)
    try:
        decision = settle(mode="update")
    except Exception as error:  # noqa: BLE001 - of the user's model, when moved by its noise
        text = str(error).partition("\n")[0]
        reason = f"its noise could not be measured: {type(error).__name__}: {text}"
        return Offered(action=action, refused=reason)
    return Offered(entry=decision.entry, action=decision.action)
