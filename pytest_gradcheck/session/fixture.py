"""The ``gradcheck`` fixture: what a test calls.

Requirements:
    A failure shows the test and the message, and no line of ours: the frames of this package are
    taken out of every traceback, those of the user's own loss are left.
"""

from __future__ import annotations

import threading
import warnings
from typing import TYPE_CHECKING

import pytest

from pytest_gradcheck.errors import GradientDriftWarning, GradientError, UsageError
from pytest_gradcheck.session.desk import RUNNING, Desk, seat
from pytest_gradcheck.session.frames import message_width, shorn
from pytest_gradcheck.session.run import RUN, Run
from pytest_gradcheck.session.studies import Studies

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager
    from typing import Unpack

    from pytest_gradcheck.api import Options, Probe, SourceOptions
    from pytest_gradcheck.records import Verdict
    from pytest_gradcheck.series.rows import StepProbe
    from pytest_gradcheck.series.rules import Rule
    from pytest_gradcheck.series.run import TrainingRun

__all__ = ["GradCheck", "grad_snapshot", "gradcheck"]


@pytest.fixture
def gradcheck() -> GradCheck:
    """Measure and judge gradients, and compare them with their baseline."""
    item = RUNNING.get()
    return GradCheck(item, item.config.stash[RUN], seat(item))


@pytest.fixture
def grad_snapshot(request: pytest.FixtureRequest) -> object:
    """Compare measurements with snapshots that syrupy stores."""
    from pytest_gradcheck.snapshot import gradient_snapshot

    return gradient_snapshot(request.getfixturevalue("snapshot"))


class GradCheck(Studies):
    """Check gradients in a test; what the ``gradcheck`` fixture gives.

    Example:
        ``gradcheck(model, lambda: model.losses(batch), max_norm=10.0)``
    """

    def __init__(self, item: pytest.Item, run: Run, desk: Desk) -> None:
        """Belong to one run of one test."""
        self._item = item
        self._run = run
        self._desk = desk
        self._thread = threading.get_ident()

    def __reduce__(self) -> str:
        """Refuse to go to another process.

        Raises:
            UsageError: always; what is checked there could not reach the reports of the test.
        """
        msg = (
            "the gradcheck fixture cannot go to another process: measure there, with "
            "pytest_gradcheck.record_gradients, and hand what it returns to the fixture here"
        )
        raise UsageError(msg)

    def __call__(
        self,
        model: object,
        loss: Callable[[], object] | None = None,
        **options: Unpack[Options],
    ) -> Verdict:
        """Measure, judge, and record or compare.

        Args:
            model: an ``nn.Module``, a ``pm.Model``, or a mapping of names to tensors or arrays.
            loss: torch: a function of no arguments that returns a scalar or named components.
            **options: ``name`` of the call, for a test that makes several; ``value_and_grad``,
                ``at``, ``wrt``, ``seed``, ``mode``, ``data``; and every limit.

        Returns:
            The verdict, none of whose checks failed.

        Raises:
            GradientError: a check failed; the message says which, on what, by how much.
            UsageError: the model, the loss, an option or a limit cannot be used.
        """
        __tracebackhide__ = True
        from pytest_gradcheck.session.calling import check

        self._begin()
        try:
            decision = check(
                self._item, self._run, self._desk, model=model, loss=loss, options=options
            )
        except Exception as error:  # noqa: BLE001 - raised again, whatever it is
            raise shorn(error)  # noqa: B904 - the same one
        if decision.tolerated is not None:
            warnings.warn(self._story(decision.tolerated), GradientDriftWarning, stacklevel=2)
        if not decision.verdict.passed:
            failure = GradientError(self._story(decision.verdict))
            if {result.check for result in decision.verdict.failures} == {"drift"}:
                self._desk.raised = failure
            if threading.get_ident() != self._thread:
                self._desk.unheard.append(failure)
            raise failure from None
        return decision.verdict

    def watch(
        self,
        model: object = None,
        *,
        optimizer: object = None,
        rules: Rule | Iterable[Rule] = (),
        without: str | Iterable[str] = (),
        probes: StepProbe | Iterable[StepProbe] = (),
        epoch: int | None = None,
        updates: int | None = None,
        name: str | None = None,
        **limits: object,
    ) -> AbstractContextManager[TrainingRun]:
        """Record every optimizer step of a loop; judge, and record or compare, when it ends.

        Args:
            model: an ``nn.Module``; ``None`` finds the one whose parameters are stepped.
            optimizer: one, several, or several by name; ``None`` for all that step the model.
            rules: as for `pytest_gradcheck.watch`.
            without: as there.
            probes: as there.
            epoch: as there.
            updates: as there.
            name: of the call, for a test that makes several.
            **limits: as there; also ``drift`` and ``min_drift``.

        Raises:
            GradientError: when the block ends: a rule failed, or the run is not its baseline's.
            UsageError: an argument cannot be used, or no step was seen.

        Example:
            ``with gradcheck.watch(model): train(model)``
        """
        __tracebackhide__ = True
        from pytest_gradcheck.session.series import Watching

        self._begin()
        options = {
            "model": model,
            "optimizer": optimizer,
            "rules": rules,
            "without": without,
            "probes": probes,
        }
        options |= {} if epoch is None else {"epoch": epoch}
        options |= {} if updates is None else {"updates": updates}
        try:
            return Watching(
                self._item, self._run, self._desk, name=name, options=options, limits=limits
            )
        except Exception as error:  # noqa: BLE001 - raised again, whatever it is
            raise shorn(error)  # noqa: B904 - the same one

    def measure(
        self,
        model: object,
        loss: Callable[[], object] | None = None,
        **options: Unpack[SourceOptions],
    ) -> Probe:
        """Measure and leave the judging to the test; nothing is recorded or compared.

        Args:
            model: as for a call of the fixture itself.
            loss: as there.
            **options: as there, without limits.

        Returns:
            The statistics, and a way to ask for more of them.

        Raises:
            UsageError: the model, the loss or an option cannot be used.
        """
        __tracebackhide__ = True
        from pytest_gradcheck.api import measure_gradients

        self._begin()
        try:
            return measure_gradients(model, loss, **options)
        except Exception as error:  # noqa: BLE001 - raised again, whatever it is
            raise shorn(error)  # noqa: B904 - the same one

    def _story(self, verdict: Verdict) -> str:
        """Return the message of a failure."""
        from pytest_gradcheck.explain import explain

        verbose = self._item.config.get_verbosity() > 0
        return "\n".join(explain(verdict, verbose=verbose, width=message_width()))
