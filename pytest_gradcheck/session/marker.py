"""What the ``gradcheck`` markers of a test say, and what is wrong with them.

Requirements:
    A mistake in a marker is found when the test is collected: the test does not run, and says why
    in one line; other tests are none the worse.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytest_gradcheck.errors import UsageError

if TYPE_CHECKING:
    import pytest

    from pytest_gradcheck.limits import Limits

__all__ = ["NAME", "SERIES", "Layer", "alone", "complaint", "layers", "own", "series_options"]

NAME = "gradcheck"
"""Of the marker, and of the fixture."""

Layer = tuple[str, Mapping[str, object]]
"""Where limits are written, and the limits by name."""

INI = "the ini file"

SERIES = ("rules", "without", "epoch", "updates")
"""What a marker may also say, for the training loops that its tests run."""


def layers(item: pytest.Item, ini: Mapping[str, object]) -> list[Layer]:
    """Return what holds for a test before it says anything itself, farthest first.

    Args:
        item: the test.
        ini: the limits of the ini file, by name.
    """
    found: list[Layer] = [(INI, ini)]
    if NAME not in item.keywords:
        return found  # which is known sooner than by going through all markers
    marks = list(item.iter_markers_with_node(NAME))
    for node, mark in reversed(marks):
        given = {key: value for key, value in mark.kwargs.items() if key not in SERIES}
        if mark.args:
            given["checks"] = mark.args
        found.append((f"the {NAME} marker on {node.name}", given))
    return found


def series_options(item: pytest.Item) -> dict[str, Any]:
    """Return what the markers of a test say about training loops, the nearer ones last.

    ``rules`` and ``without`` are gathered; of the others the nearest counts.
    """
    found: dict[str, Any] = {}
    for _, mark in reversed(list(item.iter_markers_with_node(NAME))):
        for key in SERIES:
            if key not in mark.kwargs:
                continue
            value = mark.kwargs[key]
            if key in ("rules", "without"):
                several = value if isinstance(value, list | tuple | set) else (value,)
                value = (*found.get(key, ()), *several)
            found[key] = value
    return found


def alone(item: pytest.Item) -> bool:
    """Whether a test is marked itself and leaves it to the marker to watch what it trains."""
    uses = NAME in getattr(item, "fixturenames", ())
    return not uses and any(mark.name == NAME for mark in item.own_markers)


def own(item: pytest.Item) -> dict[str, object]:
    """Return what the markers on a test itself say, without those on its class and module."""
    found: dict[str, object] = {}
    for mark in reversed([mark for mark in item.own_markers if mark.name == NAME]):
        found |= {**mark.kwargs, **({"checks": mark.args} if mark.args else {})}
    return found


def complaint(item: pytest.Item, ini: Mapping[str, object]) -> str:
    """Return what is wrong with how a test uses the plugin, empty where nothing is."""
    if NAME not in getattr(item, "fixturenames", ()) and not alone(item):
        return ""
    if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
        return (
            f"{item.name} uses the {NAME} {'marker' if alone(item) else 'fixture'} under @given, "
            "which runs it many times with one fixture: call assert_gradients(...) instead, which "
            "takes the same limits"
        )
    found = layers(item, ini)
    if len(found) == 1 and not ini:
        return ""  # no marker and nothing in the ini file, as for most tests
    try:
        _parse(found, series_options(item))
        if alone(item):
            _refuse_idle(own(item))
    except UsageError as error:
        return str(error)
    return ""


def _parse(found: list[Layer], options: Mapping[str, Any]) -> Limits:
    """Return the limits, which raises where one is wrong."""
    from pytest_gradcheck.limits import parse

    limits = parse(*found)
    if options:
        from pytest_gradcheck.series.limits import series_limits

        series_limits(limits, options.get("rules", ()), without=options.get("without", ()))
    return limits


def _refuse_idle(written: Mapping[str, object]) -> None:
    """Raise where a marker that has a training run watched says what no run can be held against."""
    from pytest_gradcheck.series.limits import refuse_idle

    refuse_idle({name: value for name, value in written.items() if name not in SERIES})
