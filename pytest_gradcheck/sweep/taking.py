"""Measure at every point of a grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

from pytest_gradcheck import backends
from pytest_gradcheck.checks.replicates import FEWEST
from pytest_gradcheck.checks.validate import count, number
from pytest_gradcheck.errors import UsageError, UsageTypeError, noted
from pytest_gradcheck.measure import measure
from pytest_gradcheck.plan import Plan
from pytest_gradcheck.point import at_point
from pytest_gradcheck.progress import working
from pytest_gradcheck.sweep.changes import changes
from pytest_gradcheck.sweep.values import Stop, Sweep, as_text, place

if TYPE_CHECKING:
    from pytest_gradcheck.records import Objective

__all__ = ["swept"]


def swept(
    settings: Mapping[str, Sequence[object]],
    build: Callable[..., object],
    *,
    replicates: int = 0,
    limits: Mapping[str, float | None],
    **options: Any,  # noqa: ANN401 - the backend knows them
) -> Sweep:
    """Measure over a grid, and judge what changes.

    Args:
        settings: values by name of the setting.
        build: called with one value of each by keyword; returns a model, ``(model, loss)``,
            ``(model, options)`` or ``(model, loss, options)``.
        replicates: seeds at every point; 0 for the objective's own alone.
        limits: of `LIMITS`, ``None`` for none.
        **options: of every objective, as for `pytest_gradcheck.backends.objective`, and ``at``.
    """
    _check(settings, build)
    given = _limits(limits)
    if replicates:
        count("replicates", replicates, low=FEWEST)
    elif "max_snr_ratio" in given:
        msg = "max_snr_ratio has nothing to act on: replicates is off"
        raise UsageError(msg)
    grid = [dict(zip(settings, values, strict=True)) for values in product(*settings.values())]
    if len(grid) < 2:  # noqa: PLR2004 - nothing changes at one point
        msg = f"a sweep needs at least two points, not {settings!r:.60}"
        raise UsageError(msg)
    stops, plan = [], Plan(replicates=replicates)
    with working(f"sweeping {', '.join(settings)}", total=len(grid)) as advance:
        for setting in grid:
            shown = {name: as_text(value) for name, value in setting.items()}
            with noted(f"sweeping, at {place(shown)}", where=f"at {place(shown)}"):
                measurement = measure(_objective(build, setting, options), plan)
            stops.append(Stop(setting=shown, measurement=measurement))
            advance()
    places = [tuple(stop.setting.values()) for stop in stops]
    if len(set(places)) < len(places):
        msg = f"two points of the sweep look alike: {settings!r:.80}; give values that differ"
        raise UsageError(msg)
    return Sweep(stops=tuple(stops), findings=tuple(changes(stops, given)), limits=given)


def _check(settings: object, build: object) -> None:
    """Refuse settings that are no grid, and what cannot be called."""
    good = isinstance(settings, Mapping) and bool(settings)
    for name, values in settings.items() if isinstance(settings, Mapping) else ():
        good &= isinstance(name, str) and isinstance(values, Sequence) and len(values) > 0
        good &= not isinstance(values, str)
    if not good:
        msg = f"a sweep takes settings such as {{'batch': [6, 12, 24]}}, not {settings!r:.60}"
        raise UsageTypeError(msg)
    if not callable(build):
        msg = (
            "a sweep takes a function of the settings that returns (model, loss): "
            f"lambda batch: (model, loss_for(batch)), not {build!r:.60}"
        )
        raise UsageTypeError(msg)


def _limits(limits: Mapping[str, float | None]) -> dict[str, float]:
    """Return the limits that are set, each checked."""
    given = {name: value for name, value in limits.items() if value is not None}
    for name, value in given.items():
        if name == "min_cosine":
            number(name, value, low=-1.0, high=1.0)
        else:
            number(name, value, low=1.0)
    return given


def _objective(
    build: Callable[..., object], setting: Mapping[str, object], shared: Mapping[str, Any]
) -> Objective:
    """Return the objective at one point of the grid."""
    made = build(**setting)
    model, *rest = made if isinstance(made, tuple) else (made,)
    losses = [part for part in rest if callable(part)]
    own = [part for part in rest if isinstance(part, Mapping)]
    if len(losses) + len(own) < len(rest) or len(losses) > 1 or len(own) > 1:
        msg = (
            f"the function of the settings returned {made!r:.60}; return a model, (model, loss) "
            "or (model, loss, options)"
        )
        raise UsageTypeError(msg)
    options: dict[str, Any] = {**shared, **(own[0] if own else {})}
    at = options.pop("at", None)
    return at_point(backends.objective(model, *losses, **options), at)
