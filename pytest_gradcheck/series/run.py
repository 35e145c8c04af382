"""What a training loop gets while it is watched: a place to add numbers and to read them back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.series.gather import gather
from pytest_gradcheck.series.summary import TAIL, Summary, summarise

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_gradcheck.records import Series, SeriesVerdict
    from pytest_gradcheck.series.rows import Notebook

__all__ = ["Source", "TrainingRun", "refuse_nothing"]


class Source(Protocol):
    """Write down what a loop does; one for each framework."""

    @property
    def notebook(self) -> Notebook:
        """What was written down."""
        ...

    def log(self, group: str, values: Mapping[str, object]) -> None:
        """Write down scalars of the step in progress or, between two, of the last one."""
        ...

    def epoch(self) -> None:
        """Begin an epoch at the next step."""
        ...

    def fetch(self) -> None:
        """Bring the notebook up to date."""
        ...


class TrainingRun:
    """Stand for a training loop that is watched; what ``with watch(...) as run`` gives.

    Attributes:
        verdict: what the rules said, once the block has ended.
    """

    def __init__(self, source: Source, *, epoch: int | None = None) -> None:
        """Belong to one watched loop.

        Args:
            source: that writes down what the loop does.
            epoch: steps in an epoch, where the loop does not call `epoch`.
        """
        self.verdict: SeriesVerdict | None = None
        self._source = source
        self._epoch = epoch

    def log(
        self,
        *,
        loss: object = None,
        components: Mapping[str, object] | None = None,
        **scalars: object,
    ) -> None:
        """Add numbers to the step in progress or, between two steps, to the last one.

        Args:
            loss: instead of the one that ``backward`` was seen to start from.
            components: the named terms of the loss.
            **scalars: anything else: numbers, or tensors of one element, which are fetched later.

        Raises:
            UsageTypeError: a value is no number and no tensor of one element.
        """
        if components:
            named = {f"component.{name}": value for name, value in components.items()}
            self._source.log("component", named)
        plain = dict(scalars) if loss is None else {"loss": loss, **scalars}
        if plain:
            self._source.log("logged", plain)

    def epoch(self) -> None:
        """Begin a new epoch at the next step."""
        self._source.epoch()

    @property
    def series(self) -> Series:
        """Everything that was seen so far; waits for an accelerator to finish."""
        self._source.fetch()
        book = self._source.notebook
        if self._epoch is not None:
            most = max((row.step for row in book.rows), default=0)
            book.epochs = list(range(self._epoch, most + 1, self._epoch))
        return gather(book)

    def summary(self, name: str, *, tail: int = TAIL) -> Summary:
        """Return what a metric came to.

        Args:
            name: of the metric, as in `Series`.
            tail: how many of the last values count for mean and slope.

        Raises:
            KeyError: there is no such metric; the message lists the known ones.
        """
        __tracebackhide__ = True
        return summarise(self.series[name], tail=tail)


def refuse_nothing(series: Series, what: str) -> None:
    """Refuse a run in which nothing happened.

    Raises:
        UsageError: no optimizer step was seen, or no gradient at any of them.
    """
    __tracebackhide__ = True
    if series.steps and not any(metric.key == "norm" for metric in series.metrics):
        msg = (
            f"{what}: {series.steps} optimizer steps were seen, and no gradient at any of them. Is "
            "backward() called in the loop, on a loss that depends on the model?"
        )
        raise UsageError(msg)
    if not series.steps:
        msg = (
            f"{what}: no optimizer step was seen. Is the loop inside the block, does it call the "
            "optimizer's step(), and does that optimizer hold the parameters of the model watched?"
        )
        raise UsageError(msg)
