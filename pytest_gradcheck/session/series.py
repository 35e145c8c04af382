"""A training loop in a test: watch it, judge it, compare it, and note what is to be recorded."""

from __future__ import annotations

import dataclasses
import sys
import warnings
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_gradcheck.errors import BaselineError, GradientDriftWarning, GradientError
from pytest_gradcheck.limits import parse
from pytest_gradcheck.records import Series, SeriesBaseline, SeriesVerdict
from pytest_gradcheck.series.baseline import compare_series, kept, refreshed
from pytest_gradcheck.series.explain import explain_series
from pytest_gradcheck.series.judge import judge_series
from pytest_gradcheck.series.limits import SeriesLimits, series_limits
from pytest_gradcheck.series.run import TrainingRun, refuse_nothing
from pytest_gradcheck.session.addressing import address_of
from pytest_gradcheck.session.baselines import Address, Decision, of_kind, settle
from pytest_gradcheck.session.ending import call_line
from pytest_gradcheck.session.frames import message_width
from pytest_gradcheck.session.marker import layers, series_options
from pytest_gradcheck.session.offering import NOTHING, Offered, offered_by
from pytest_gradcheck.session.saying import call_of, property_of
from pytest_gradcheck.watching import observed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    import pytest

    from pytest_gradcheck.session.desk import Desk
    from pytest_gradcheck.session.ledger import Found
    from pytest_gradcheck.session.run import Run

__all__ = ["Watching"]


class Watching:
    """Watch a loop of a test, and have its say on the desk when the block ends."""

    def __init__(
        self,
        item: pytest.Item,
        run: Run,
        desk: Desk,
        *,
        name: str | None = None,
        options: Mapping[str, Any],
        limits: Mapping[str, object],
    ) -> None:
        """Check everything before the loop starts.

        Args:
            item: the test.
            run: that it belongs to.
            desk: of this run of the test.
            name: of the call within its test.
            options: ``rules`` and ``without``, and what `pytest_gradcheck.watching.observed` takes.
            limits: that the call itself says.
        """
        self._item, self._run, self._desk = item, run, desk
        self._label = desk.claim(name)
        desk.watched += 1
        given = series_options(item)
        rules = (*given.pop("rules", ()), *_several(options.get("rules", ())))
        without = (*given.pop("without", ()), *_several(options.get("without", ())))
        here = (f"the call in {item.name}", limits)
        self._limits: SeriesLimits = series_limits(
            parse(*layers(item, run.settings.limits), here),
            {getattr(r, "name", i): r for i, r in enumerate(rules)}.values(),
            without=without,
            written=limits,
        )
        self._options = given | {
            key: value for key, value in options.items() if key not in ("rules", "without")
        }
        self._undo = ExitStack()
        self._training: TrainingRun | None = None

    def __enter__(self) -> TrainingRun:
        """Begin to watch."""
        __tracebackhide__ = True
        self._desk.entered += 1
        self._training = self._undo.enter_context(observed(**self._options))
        return self._training

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop watching, and judge unless the loop itself failed."""
        __tracebackhide__ = True
        self._undo.__exit__(kind, error, traceback)
        if kind is not None or self._training is None:
            return
        series = self._training.series
        refuse_nothing(series, f"{self._item.name}, watch()")
        decision = self.judge(series)
        self._training.verdict = decision.verdict
        if decision.tolerated is not None:
            warnings.warn(self._story(decision.tolerated), GradientDriftWarning, stacklevel=2)
        if not decision.verdict.passed:
            failure = GradientError(self._story(decision.verdict))
            if {result.check for result in decision.verdict.failures} == {"drift"}:
                self._desk.raised = failure
            raise failure from None

    def judge(self, series: Series) -> Decision[SeriesVerdict]:
        """Return what is to be said of a series, and note it on the desk."""
        item, run = self._item, self._run
        address = address_of(item, run, series.device, self._label)
        decision, offered, found = self._decide(series, address)
        where = call_line(sys._getframe(1), str(item.path))  # noqa: SLF001 - the only way there is
        said = call_of(decision, offered, address, found, run=run, where=where)
        self._desk.calls.append(said)
        last = {m.name: repr(m.values[-1]) for m in series.metrics if m.group == "core"}
        shown = property_of(said, decision.verdict, steps=series.steps, last=last)
        item.user_properties.append(("gradcheck", shown))
        return decision

    def _decide(
        self, series: Series, address: Address
    ) -> tuple[Decision[SeriesVerdict], Offered, Found]:
        """Judge, and hold against the baseline if the run has any."""
        held, settings = self._limits, self._run.settings
        verdict = judge_series(series, held.rules, name=self._label, limits=held.text())
        if settings.mode == "off" or not held.drift:
            return Decision(verdict=verdict), NOTHING, "off"
        stored = of_kind(self._run.shelf.find(address), SeriesBaseline, address)
        if isinstance(stored, SeriesBaseline):
            result = compare_series(series, stored, min_drift=held.min_drift)
            results = (*verdict.results, result)
            verdict = dataclasses.replace(verdict, results=results, baseline=stored)
        settled = partial(
            settle,
            verdict,
            stored,
            address,
            warn=settings.warn,
            record=kept,
            refresh=lambda new, old: refreshed(new, old, verdict.results[-1]),
        )
        decision = settled(mode=settings.mode)
        offered = offered_by(decision, settled, stored, offers=settings.offers)
        if isinstance(stored, BaselineError):
            return decision, offered, "unreadable"
        return decision, offered, "missing" if stored is None else "compared"

    def _story(self, verdict: SeriesVerdict) -> str:
        """Return the message of a failure."""
        verbose = self._item.config.get_verbosity() > 0
        return "\n".join(explain_series(verdict, verbose=verbose, width=message_width()))


def _several(value: Any) -> tuple[Any, ...]:  # noqa: ANN401 - one thing, or several
    """Return one thing or several as a tuple."""
    return tuple(value) if isinstance(value, list | tuple | set) else (value,)
