"""What the ``gradcheck`` markers of a test say, and what is wrong with them.

Requirements:
    A mistake in a marker is found when the test is collected: the test does not run, and says why
    in one line; other tests are none the worse.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pytest_gradcheck.errors import UsageError

if TYPE_CHECKING:
    import pytest

    from pytest_gradcheck.limits import Limits

__all__ = ["NAME", "Layer", "complaint", "layers"]

NAME = "gradcheck"
"""Of the marker, and of the fixture."""

Layer = tuple[str, Mapping[str, object]]
"""Where limits are written, and the limits by name."""

INI = "the ini file"


def layers(item: pytest.Item, ini: Mapping[str, object]) -> list[Layer]:
    """Return what holds for a test before it says anything itself, farthest first.

    Args:
        item: the test.
        ini: the limits of the ini file, by name.
    """
    found: list[Layer] = [(INI, ini)]
    marks = list(item.iter_markers_with_node(NAME))
    for node, mark in reversed(marks):
        given = dict(mark.kwargs)
        if mark.args:
            given["checks"] = mark.args
        found.append((f"the {NAME} marker on {node.name}", given))
    return found


def complaint(item: pytest.Item, ini: Mapping[str, object]) -> str:
    """Return what is wrong with how a test uses the plugin, empty where nothing is."""
    uses = NAME in getattr(item, "fixturenames", ())
    if not uses:
        if any(mark.name == NAME for mark in item.own_markers):
            return (
                f"{item.name} is marked {NAME} but does not use the fixture: add the argument "
                f"{NAME} to the test and call it, or remove the marker"
            )
        return ""
    if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
        return (
            f"{item.name} uses the {NAME} fixture under @given, which runs it many times with one "
            "fixture: call assert_gradients(...) instead, which takes the same limits"
        )
    try:
        _parse(layers(item, ini))
    except UsageError as error:
        return str(error)
    return ""


def _parse(found: list[Layer]) -> Limits:
    """Return the limits, which raises where one is wrong."""
    from pytest_gradcheck.limits import parse

    return parse(*found)
