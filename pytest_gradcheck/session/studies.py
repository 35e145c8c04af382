"""What the fixture offers beside judging one gradient: replicates, comparisons, sweeps.

Requirements:
    None of it has a baseline, and none counts among the numbered calls of a test, whose names are
    those of baselines.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pytest_gradcheck.errors import GradientError, UsageError
from pytest_gradcheck.session.desk import DESK
from pytest_gradcheck.session.frames import shorn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Unpack

    import pytest

    from pytest_gradcheck.api import SourceOptions
    from pytest_gradcheck.estimators import Comparison
    from pytest_gradcheck.records import Replicates
    from pytest_gradcheck.session.desk import Desk
    from pytest_gradcheck.session.run import Run
    from pytest_gradcheck.studies import SweepOptions
    from pytest_gradcheck.sweep import Sweep

__all__ = ["Studies"]

LEVEL = 1e-4
"""As `pytest_gradcheck.estimators.LEVEL`, which is not loaded before it is needed."""


class Studies:
    """Ask what takes many gradients; the abstract part of the fixture's value."""

    _item: pytest.Item
    _run: Run
    _desk: Desk

    def replicates(
        self,
        model: object,
        loss: Callable[[], object] | None = None,
        replicates: int = 32,
        **options: Unpack[SourceOptions],
    ) -> Replicates:
        """Take the gradient under several seeds, judged by nobody.

        See `pytest_gradcheck.replicate_gradients`.
        """
        __tracebackhide__ = True
        from pytest_gradcheck.studies import replicate_gradients

        self._begin()
        try:
            return replicate_gradients(model, loss, replicates, **options)
        except Exception as error:  # noqa: BLE001 - raised again, whatever it is
            raise shorn(error)  # noqa: B904 - the same one

    def weights(self, values: object) -> None:
        """Report, inside a loss, the weights ``[..., samples]`` of what it is made of.

        See `pytest_gradcheck.weights`.
        """
        from pytest_gradcheck.weighing import weights

        weights(values)

    def compare(
        self,
        model: object,
        losses: Mapping[str, Callable[..., object]],
        *,
        replicates: int = 32,
        level: float = LEVEL,
        **options: Unpack[SourceOptions],
    ) -> Comparison:
        """Compare estimators of one gradient, judged by nobody: same mean? whose variance is less?

        See `pytest_gradcheck.compare_gradients`. Reports show the table.
        """
        __tracebackhide__ = True
        from pytest_gradcheck.session.noting import note_comparison
        from pytest_gradcheck.studies import compare_gradients

        self._begin()
        try:
            found = compare_gradients(model, losses, replicates=replicates, level=level, **options)
            note_comparison(self._run, self._desk, found, where=self._where())
        except Exception as error:  # noqa: BLE001 - raised again, whatever it is
            raise shorn(error)  # noqa: B904 - the same one
        return found

    def sweep(
        self,
        settings: Mapping[str, Sequence[object]],
        build: Callable[..., object],
        *,
        replicates: int = 0,
        **options: Unpack[SweepOptions],
    ) -> Sweep:
        """Take the gradient over a grid of settings, and hold its changes against limits.

        See `pytest_gradcheck.sweep_gradients`. Reports show the table.

        Raises:
            GradientError: something changes by more than its limit; with the setting, its two
                values and the whole table.
            UsageError: there is no grid, or an option cannot be used.
        """
        __tracebackhide__ = True
        from pytest_gradcheck.session.noting import note_sweep
        from pytest_gradcheck.studies import sweep_gradients

        self._begin()
        try:
            found = sweep_gradients(settings, build, replicates=replicates, **options)
            story = note_sweep(self._run, self._desk, found, where=self._where())
        except Exception as error:  # noqa: BLE001 - raised again, whatever it is
            raise shorn(error)  # noqa: B904 - the same one
        if not found.passed:
            raise GradientError(story) from None
        return found

    def _where(self) -> tuple[str, int]:
        """Return file and line of the call."""
        from pytest_gradcheck.session.ending import call_line

        return call_line(sys._getframe(1), str(self._item.path))  # noqa: SLF001 - the only way there is

    def _begin(self) -> None:
        """Note that the fixture is called, if the test that it was made for still runs."""
        __tracebackhide__ = True
        if self._item.stash.get(DESK, None) is not self._desk:
            msg = (
                f"this gradcheck is the one of {self._item.name}, which has ended: what it checks "
                "could not be reported or recorded; ask for the fixture in the test that calls it"
            )
            raise UsageError(msg)
        self._desk.used = True
