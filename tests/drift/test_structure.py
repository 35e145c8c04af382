"""Differences of structure, told by name before any number is compared."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pytest_gradcheck.drift.structure import structure_findings
from tests.gradients import noise
from tests.objectives import given

if TYPE_CHECKING:
    from pytest_gradcheck.records import Measurement

BASE = {"a": noise(4, seed=1), "b": noise(4, seed=2), "c": noise(2, 3, seed=3)}
WAS = given(BASE)


def found(now: Measurement, was: Measurement = WAS) -> list[tuple[str, str]]:
    """Return the differences."""
    return [(f.subject, f.text) for f in structure_findings(now, was)]


def test_equal_structures_have_no_differences() -> None:
    """Other numbers in the same places must be comparable."""
    assert found(given({k: 2 * v for k, v in BASE.items()})) == []


def test_another_backend_is_all_that_is_told() -> None:
    """Two frameworks share no names, so nothing else can be said."""
    assert found(replace(given({"x": [1.0]}), backend="torch")) == [
        ("total", "backend arrays -> torch")
    ]


def test_a_renamed_parameter_is_recognised_by_its_gradient() -> None:
    """The same gradient under another name must be called renamed, not removed and added."""
    now = {"a": BASE["a"], "z": BASE["b"] * (1 + 1e-6), "c": BASE["c"]}
    assert found(given(now)) == [("b", "parameter renamed to z")]


def test_renamed_parameters_are_told_apart() -> None:
    """Several new names must be matched by gradient, each once."""
    now = {"y": BASE["b"], "z": BASE["a"], "c": BASE["c"]}
    assert found(given(now)) == [
        ("a", "parameter renamed to z"),
        ("b", "parameter renamed to y"),
    ]


def test_equal_gradients_are_not_renamed_twice() -> None:
    """Of two parameters with one gradient, one new name may stand for one of them only."""
    was = given({"a": [1.0, 2.0], "b": [1.0, 2.0]})
    assert [text for _, text in found(given({"z": [1.0, 2.0]}), was)] == [
        "parameter renamed to z",
        "parameter removed (shape [2], norm was 2.236)",
    ]


def test_a_new_name_with_another_gradient_is_another_parameter() -> None:
    """Another gradient, shape, or none must not be taken for a new name."""
    was = given({"a": noise(4), "zero": np.zeros(4), "none": None})
    now = given({"x": noise(4, seed=9), "y": noise(2, 2), "zeros": np.zeros(4), "nothing": None})
    assert [subject for subject, _ in found(now, was)] == [
        "a", "zero", "none", "x", "y", "zeros", "nothing",
    ]  # fmt: skip
    assert not [text for _, text in found(now, was) if "renamed" in text]


def test_another_order_is_told_once() -> None:
    """The same parameters in another order must be one line."""
    now = given({k: BASE[k] for k in ("c", "a", "b")})
    assert found(now) == [("total", "the 3 parameters stand in another order")]


def test_another_shape_and_another_dtype_are_two_lines() -> None:
    """Both changes of one parameter must be told."""
    now = given({**BASE, "c": np.ones((3, 2), np.float32)})
    assert found(now) == [("c", "shape [2, 3] -> [3, 2]"), ("c", "dtype float64 -> float32")]


def test_components_come_and_go() -> None:
    """Components must be told as components."""
    one = {"w": [1.0]}
    was = given(one, terms={"recon": (1.0, one), "kl": (1.0, one)})
    now = given(one, terms={"recon": (1.0, one), "l2": (1.0, one)})
    assert found(now, was) == [
        ("component kl", "component removed"),
        ("component l2", "component added"),
    ]


def test_components_in_another_order_are_told() -> None:
    """Cosines stand in the order of the components, so that it matters."""
    one = {"w": [1.0]}
    was = given(one, terms={"recon": (1.0, one), "kl": (1.0, one)})
    now = given(one, terms={"kl": (1.0, one), "recon": (1.0, one)})
    assert found(now, was) == [("total", "components stand in another order: kl, recon")]


def test_what_the_backend_holds_equal_must_be() -> None:
    """Transforms and distributions must be compared by name, absent ones included."""
    was = replace(WAS, structure={"mu": "normal", "tau": "log", "old": 1})
    now = replace(WAS, structure={"mu": "normal", "tau": "softplus", "new": 2})
    assert found(now, was) == [
        ("tau", "distribution log -> softplus"),
        ("old", "removed: 1"),
        ("new", "added: 2"),
    ]
