"""What changed in a model is said in words, one line for each variable."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pytest_gradcheck.drift.structure import structure_findings
from tests.gradients import noise
from tests.objectives import given

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_gradcheck.records import Measurement

MU, TAU = noise(4, seed=1), noise(2, seed=2)
FREE = {"mu": "Normal", "tau": "HalfNormal; transform LogTransform; parameter tau_log__"}
DATA = {"y": "Normal; observed; shape 8; dtype float64; values 0a8eb226da11"}


def model(structure: Mapping[str, str], **grads: object) -> Measurement:
    """Return the measurement of a model with a component for each variable."""
    found = {"mu": MU, "tau_log__": TAU} | grads
    blocks = {name: grad for name, grad in found.items() if grad is not None}
    terms = dict.fromkeys(structure, (1.0, blocks))
    return replace(given(blocks, terms=terms), structure=structure)  # type: ignore[arg-type]


WAS = model(FREE | DATA)


def found(now: Measurement, was: Measurement = WAS) -> list[tuple[str, str]]:
    """Return the differences."""
    return [(f.subject, f.text) for f in structure_findings(now, was)]


def test_an_added_variable_is_one_line() -> None:
    """Its parameter and its component must go without saying."""
    now = model(FREE | DATA | {"z": "Gamma; transform LogTransform; parameter z_log__"},
                z_log__=noise(3))  # fmt: skip
    assert found(now) == [("z", "added: Gamma, transform LogTransform, shape [3]")]
    assert found(WAS, now) == [("z", "removed: Gamma, transform LogTransform, shape [3]")]


def test_a_parameter_and_a_component_of_no_variable_are_still_told() -> None:
    """What no variable explains must be a line of its own."""
    assert found(model(FREE | DATA, more=noise(3))) == [("more", "parameter added (shape [3])")]


def test_another_transform_is_one_line() -> None:
    """A new name of the parameter must go without saying."""
    texts = FREE | DATA | {"tau": "HalfNormal; transform Interval; parameter tau_interval__"}
    now = model(texts, tau_log__=None, tau_interval__=TAU)
    assert found(now) == [("tau", "transform LogTransform -> Interval")]


def test_a_transform_that_is_gone_is_told() -> None:
    """Where there is no transform any more the line must say none."""
    now = model(FREE | DATA | {"tau": "HalfNormal"}, tau_log__=None, tau=TAU)
    assert found(now) == [("tau", "transform LogTransform -> none")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Normal; observed; shape 8; dtype float64; values 7e01ee1ad2c0",
            "data changed (values; same shape 8)",
        ),
        (
            "Normal; observed; shape 9; dtype float64; values 7e01ee1ad2c0",
            "data changed (shape 8 -> 9)",
        ),
        (
            "Normal; observed; shape 8; dtype float32; values 0a8eb226da11",
            "data changed (dtype float64 -> float32; same values)",
        ),
        (
            "Normal; observed; shape 8; dtype float32; values 7e01ee1ad2c0",
            "data changed (dtype float64 -> float32, values; same shape 8)",
        ),
        (
            "StudentT; observed; shape 8; dtype float64; values 0a8eb226da11",
            "distribution Normal -> StudentT",
        ),
        (
            "StudentT; observed; shape 8; dtype float64; values 7e01ee1ad2c0",
            "distribution Normal -> StudentT, data changed (values; same shape 8)",
        ),
        ("Normal", "no longer observed"),
        ("Potential", "Normal -> Potential, no longer observed"),
        ("Normal; observed; minibatch", "now minibatch"),
    ],
)
def test_what_changed_in_data_is_told(text: str, expected: str) -> None:
    """Shape, dtype and values must be told apart, and what is the same be said."""
    assert found(model(FREE | DATA | {"y": text})) == [("y", expected)]


def test_other_dimensions_are_told() -> None:
    """Named dimensions must be shown as they were and as they are."""
    was, now = (model(FREE | DATA | {"mu": f"Normal{dims}"}) for dims in ("", "; dims (school)"))
    assert found(now, was) == [("mu", "dims none -> (school)")]
    assert found(was, now) == [("mu", "dims (school) -> none")]


def test_a_text_that_has_no_parts_is_shown_whole() -> None:
    """What cannot be told in words must be shown as it stands."""
    was, now = (model(FREE | {"y": f"Normal; parameter {name}"}) for name in ("a", "b"))
    assert found(now, was) == [("y", "Normal; parameter a -> Normal; parameter b")]


def test_a_renamed_variable_is_recognised() -> None:
    """The same variable under another name must be one line, parameter and component included."""
    texts = {"mu": "Normal", "scale": "HalfNormal; transform LogTransform; parameter scale_log__"}
    now = model(texts | DATA, tau_log__=None, scale_log__=TAU * (1 + 1e-6))
    assert found(now) == [("tau", "renamed to scale")]


def test_renamed_data_are_recognised() -> None:
    """The same data under another name must be one line."""
    assert found(model(FREE | {"obs": DATA["y"]})) == [("y", "renamed to obs")]


def test_a_new_name_with_another_gradient_is_another_variable() -> None:
    """Without the same gradient a new name must not be taken for the old variable."""
    texts = {"mu": "Normal", "scale": "HalfNormal; transform LogTransform; parameter scale_log__"}
    now = model(texts | DATA, tau_log__=None, scale_log__=-TAU)
    assert [text.partition(":")[0] for _, text in found(now)] == ["removed", "added"]


def test_a_new_name_with_another_value_is_another_potential() -> None:
    """Without the same value and gradient a new name must not be taken for the old potential."""
    one = {"w": [1.0]}
    was, now = (
        replace(given(one, terms={name: (value, one)}), structure={name: "Potential"})
        for name, value in (("a", 1.0), ("b", 2.0))
    )
    assert found(now, was) == [("a", "removed: Potential"), ("b", "added: Potential")]


def test_two_equal_variables_are_not_renamed_to_one() -> None:
    """One new name may stand for one old variable only."""
    was = model({"a": "Data; shape 1", "b": "Data; shape 1"})
    now = model({"c": "Data; shape 1"})
    assert found(now, was) == [("a", "renamed to c"), ("b", "removed: Data, shape 1")]


def test_a_reshaped_variable_keeps_its_shapes() -> None:
    """Another shape must be told beside what else changed in the variable."""
    now = model(FREE | DATA | {"mu": "StudentT"}, mu=noise(5))
    assert found(now) == [("mu", "distribution Normal -> StudentT"), ("mu", "shape [4] -> [5]")]
