"""Watch a training loop without pytest: record every step, then hold the run against rules."""

from __future__ import annotations

import importlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pytest_gradcheck.checks.validate import count
from pytest_gradcheck.errors import GradientError, MissingExtraError, UsageError, UsageTypeError
from pytest_gradcheck.limits import parse
from pytest_gradcheck.series.explain import explain_series
from pytest_gradcheck.series.judge import judge_series
from pytest_gradcheck.series.limits import series_limits
from pytest_gradcheck.series.rows import StepProbe
from pytest_gradcheck.series.run import TrainingRun, refuse_nothing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_gradcheck.series.rules import Rule

__all__ = ["observed", "watch"]


@contextmanager
def watch(
    model: object = None,
    *,
    optimizer: object = None,
    rules: Rule | Iterable[Rule] = (),
    without: str | Iterable[str] = (),
    probes: StepProbe | Iterable[StepProbe] = (),
    epoch: int | None = None,
    updates: int = 1,
    name: str | None = None,
    raises: bool = True,
    **limits: object,
) -> Iterator[TrainingRun]:
    """Record every optimizer step of a loop, and judge the run when the block ends.

    The loop stays as it is: what it calls is listened to, and nothing is left behind. Recorded are
    loss, gradient norms before clipping (of the whole and of each parameter), whether they were
    clipped and at what, learning rates, how far the weights move, the scale of a gradient scaler
    and the steps it skipped, and the range of what is fed to the model.

    Args:
        model: an ``nn.Module``; ``None`` finds the one whose parameters are stepped.
        optimizer: one, several, or several by name; ``None`` for all that step the model.
        rules: to hold beside `pytest_gradcheck.RULES`; one of the same name takes its place.
        without: names of rules that are not to hold.
        probes: groups of metrics with a cadence of their own.
        epoch: steps in an epoch; or call ``run.epoch()`` at each start of one.
        updates: steps between two looks at how far the weights move; 0 for none, which saves a
            copy of the weights.
        name: what messages call the model.
        raises: whether a failed rule raises; otherwise see ``run.verdict``.
        **limits: ``max_norm``, ``min_norm``, ``per_parameter``, ``max_share``, ``finite``.

    Yields:
        The run, to which the loop may add numbers.

    Raises:
        GradientError: a rule failed; the message says which, by how much, and what to try.
        UsageError: an argument cannot be used, or no step was seen.

    Example:
        >>> import torch
        >>> from pytest_gradcheck import watch
        >>> model = torch.nn.Linear(2, 1)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> with watch(model) as run:
        ...     for _ in range(5):
        ...         optimizer.zero_grad()
        ...         model(torch.ones(4, 2)).square().mean().backward()
        ...         optimizer.step()
        >>> run.series.steps
        5
    """
    __tracebackhide__ = True
    for kept in ("drift", "min_drift"):
        if kept in limits:
            msg = (
                f"watch() compares with no baseline, so that {kept} has nothing to act on; "
                "gradcheck.watch(...) in a test does"
            )
            raise UsageError(msg)
    held = series_limits(parse(("the call", limits)), rules, without=without, written=limits)
    with observed(
        model, optimizer=optimizer, probes=probes, epoch=epoch, updates=updates, name=name
    ) as run:
        yield run
    series = run.series
    refuse_nothing(series, "watch()")
    run.verdict = judge_series(series, held.rules, limits=held.text())
    if raises and not run.verdict.passed:
        raise GradientError("\n".join(explain_series(run.verdict)))


@contextmanager
def observed(
    model: object = None,
    *,
    optimizer: object = None,
    probes: StepProbe | Iterable[StepProbe] = (),
    epoch: int | None = None,
    updates: int = 1,
    name: str | None = None,
) -> Iterator[TrainingRun]:
    """Record every step of a loop, judged by nobody; arguments as for `watch`."""
    several = (probes,) if isinstance(probes, StepProbe) else tuple(probes)
    for probe in several:
        if not isinstance(probe, StepProbe):
            msg = f"probes= takes a StepProbe or several, not {probe!r}"
            raise UsageTypeError(msg)
    if epoch is not None:
        count("epoch", epoch)
    count("updates", updates, low=0)
    with _backend().watcher(
        model, optimizer, name=name, updates=updates, probes=several
    ) as recorder:
        yield TrainingRun(recorder, epoch=epoch)


def _backend() -> Any:  # noqa: ANN401 - a module
    """Return the watcher of torch, the one framework whose loops can be watched."""
    try:
        return importlib.import_module("pytest_gradcheck.backends._torch.watching")
    except ImportError as error:
        msg = f"torch does not import here ({error}); run: pip install 'pytest-gradcheck[torch]'"
        raise MissingExtraError(msg) from None
