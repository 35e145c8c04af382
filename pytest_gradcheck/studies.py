"""Ask what takes many gradients: how they vary, which estimator is better, what a setting does.

For library users, without pytest; beside `pytest_gradcheck.api`, which asks about one point.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from pytest_gradcheck.api import SourceOptions, source
from pytest_gradcheck.checks.replicates import FEWEST
from pytest_gradcheck.checks.validate import count
from pytest_gradcheck.errors import UsageError, UsageTypeError
from pytest_gradcheck.estimators import LEVEL, compared
from pytest_gradcheck.measure import replicates as taken
from pytest_gradcheck.point import unknown_name
from pytest_gradcheck.sweep import LIMITS, swept

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pytest_gradcheck.estimators import Comparison
    from pytest_gradcheck.records import Replicates
    from pytest_gradcheck.sweep import Sweep

__all__ = ["SweepOptions", "compare_gradients", "replicate_gradients", "sweep_gradients"]

_SOURCE = tuple(SourceOptions.__annotations__)


class SweepOptions(SourceOptions, total=False):
    """Type what a sweep takes beside its grid."""

    max_norm_ratio: float | None
    max_parameter_ratio: float | None
    max_component_ratio: float | None
    max_snr_ratio: float | None
    min_cosine: float | None


def replicate_gradients(
    model: object,
    loss: Callable[[], object] | None = None,
    replicates: int = 32,
    **options: Unpack[SourceOptions],
) -> Replicates:
    """Take the gradient of a model under several seeds, judged by nobody.

    Args:
        model: as for `check_gradients`.
        loss: as for `check_gradients`.
        replicates: how many seeds, from ``seed=`` on, at least 4.
        **options: as for `measure_gradients`.

    Returns:
        Means, variances and what follows from them, with intervals of 95 %.

    Raises:
        UsageError: the model, the loss or an option cannot be used.
    """
    given, written = _split(options)
    _no_limits("replicates()", written)
    return taken(source(model, loss, **given), count("replicates", replicates, low=FEWEST))


def compare_gradients(
    model: object,
    losses: Mapping[str, Callable[..., object]],
    *,
    replicates: int = 32,
    level: float = LEVEL,
    **options: Unpack[SourceOptions],
) -> Comparison:
    """Compare estimators of one gradient under the same seeds: same mean? whose variance is less?

    Args:
        model: as for `check_gradients`.
        losses: functions by name, as ``loss`` (as ``value_and_grad`` for arrays); the first is the
            one that the others are held against.
        replicates: how many seeds, at least 4.
        level: probability at which two equal means are called different.
        **options: as for `measure_gradients`.

    Raises:
        UsageError: there is nothing to compare, or an option cannot be used.
    """
    given, written = _split(options)
    _no_limits("compare()", written)
    return compared(model, losses, replicates=replicates, level=level, **given)


def sweep_gradients(
    settings: Mapping[str, Sequence[object]],
    build: Callable[..., object],
    *,
    replicates: int = 0,
    **options: Unpack[SweepOptions],
) -> Sweep:
    """Take the gradient over a grid of named settings.

    Args:
        settings: values by name of the setting, ``{"batch": [6, 12, 24]}``; several make a grid.
        build: called with one value of each by keyword; returns a model, ``(model, loss)``,
            ``(model, options)`` or ``(model, loss, options)``.
        replicates: seeds at every point; 0 takes the gradient under one.
        **options: ``max_norm_ratio``, ``max_parameter_ratio``, ``max_component_ratio``,
            ``max_snr_ratio`` (with replicates) and ``min_cosine``, which hold between any two
            values of one setting; and those of `measure_gradients`.

    Returns:
        Every measurement, a table, and what broke a limit; nothing is raised for that.

    Raises:
        UsageError: there is no grid, or an option cannot be used.
    """
    given, written = _split(options)
    for name in written:
        if name not in LIMITS:
            raise UsageError(unknown_name("limit", name, LIMITS, where="sweep()"))
    return swept(settings, build, replicates=replicates, limits=written, **given)


def _no_limits(what: str, written: Mapping[str, object]) -> None:
    """Refuse limits where nothing is judged."""
    if written:
        names = ", ".join(written)
        msg = f"{what} judges nothing, so it takes no limits: {names}; known: {', '.join(_SOURCE)}"
        raise UsageTypeError(msg)


def _split(options: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return what describes the objective, and the rest."""
    given = {k: v for k, v in options.items() if k in _SOURCE}
    return given, {k: v for k, v in options.items() if k not in _SOURCE}
