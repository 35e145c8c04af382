"""Warnings at the end of a run and in its reports."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

TEST = """
import numpy as np

def twice(point):
    w = point["w"]
    value, grads = float(w @ w), {"w": 2 * w}
    return {"y": value, "again": value}, {"y": grads, "again": grads}

def test_twice(gradcheck):
    model = {"w": np.array([1.0, 2.0])}
    gradcheck(model, value_and_grad=twice, drift=False, name="a")
    gradcheck(model, value_and_grad=twice, drift=False, name="b")
"""

SAID = "[y] has the value and the direction of again: is one likelihood counted twice?"


def test_a_warning_is_said_once_and_fails_nothing(pytester: pytest.Pytester) -> None:
    """A test with two calls must pass, with its warning once at the end and in every report."""
    pytester.makepyfile(TEST)
    result = pytester.runpytest("--grad-report=out.json", "--grad-report=out.md")
    result.assert_outcomes(passed=1)
    text = result.stdout.str()
    assert " ".join(text.split()).count(SAID) == 1
    folder: Path = pytester.path
    report = json.loads((folder / "out.json").read_text(encoding="utf-8"))
    assert [call["warnings"] for call in report["calls"]] == [[SAID], [SAID]]
    assert "### Warnings" in (folder / "out.md").read_text(encoding="utf-8")
