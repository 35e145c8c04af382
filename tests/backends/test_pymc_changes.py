"""Each change of a model is said in words before any number, whatever the version of PyMC."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
import pymc as pm
import pytest

from pytest_gradcheck import check_gradients
from pytest_gradcheck.backends import objective
from pytest_gradcheck.drift.structure import structure_findings
from pytest_gradcheck.explain import explain
from pytest_gradcheck.measure import measure

if TYPE_CHECKING:
    from pytest_gradcheck.records import Measurement

Y = np.array([1.0, 2.0, 0.5, 1.5])


def model(**change: Any) -> pm.Model:
    """Make a small model, changed in one way."""
    data, name = change.get("data", Y), change.get("name", "s")
    width = change.get("width", len(data))
    with pm.Model(coords={"row": range(4), "line": range(4)}) as made:
        x = pm.Data("x", change.get("x", np.arange(4.0)))
        if "truncate" in change:
            s = pm.Uniform(name, 0.1, 3.0)
        else:
            s = pm.HalfNormal(name, 1.0, **change.get("transform", {}))
        theta = pm.Normal("theta", 0, 1, dims=change.get("dims"), shape=width)
        kind = change.get("kind", functools.partial(pm.Normal, sigma=s))
        kind("y", mu=theta[: len(data)] + x[: len(data)], observed=data)
        if "extra" in change:
            pm.Normal("z", 0, 1)
        if "potential" in change:
            pm.Potential("pull", -(s**2))
    return made


def measured(**change: Any) -> Measurement:
    """Return the measurement of a changed model."""
    return measure(objective(model(**change)))


@functools.cache
def baseline() -> Measurement:
    """Return the measurement of the model as it was."""
    return measured()


CHANGES: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "added": ({"extra": True}, [("z", "added: Normal, shape []")]),
    "potential": ({"potential": True}, [("pull", "added: Potential")]),
    "renamed": ({"name": "scale"}, [("s", "renamed to scale")]),
    "reshaped": ({"width": 5}, [("theta", "shape [4] -> [5]")]),
    "transform": (
        {"transform": {"default_transform": pm.distributions.transforms.Interval(0, 9)}},
        [("s", "transform LogTransform -> Interval")],
    ),
    "values": ({"data": Y + 1}, [("y", "data changed (values; same shape 4)")]),
    "rows": ({"data": Y[:3], "width": 4}, [("y", "data changed (shape 4 -> 3)")]),
    "container": (
        {"x": np.arange(4)},
        [("x", "data changed (dtype float64 -> int32; same values)")],
    ),
    "distribution": (
        {"kind": functools.partial(pm.Laplace, b=1.0)},
        [("y", "distribution Normal -> Laplace")],
    ),
    "prior": (
        {"truncate": True},
        [("s", "distribution HalfNormal -> Uniform, transform LogTransform -> Interval")],
    ),
    "dimensions": ({"dims": "row"}, [("theta", "dims none -> (row)")]),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_a_change_is_said_in_words(kind: str) -> None:
    """One line must name the variable and what changed in it, and nothing else be said."""
    change, expected = CHANGES[kind]
    found = structure_findings(measured(**change), baseline())
    assert [(f.subject, f.text) for f in found] == expected


def test_a_variable_that_is_gone_is_named() -> None:
    """A removed variable must be named with what it was."""
    found = structure_findings(baseline(), measured(extra=True))
    assert [(f.subject, f.text) for f in found] == [("z", "removed: Normal, shape []")]


def test_the_change_stands_before_any_number() -> None:
    """A failure must open with what changed, and compare no gradients."""
    verdict = check_gradients(model(data=Y + 1, extra=True), baseline=baseline())
    lines = explain(verdict)
    assert lines[0].endswith("cannot be compared with its baseline: the structure changed")
    assert [line.split() for line in lines[1:3]] == [
        ["structure", "[y]", "data", "changed", "(values;", "same", "shape", "4)"],
        ["structure", "[z]", "added:", "Normal,", "shape", "[]"],
    ]
    assert "norm 0" not in "".join(lines)
