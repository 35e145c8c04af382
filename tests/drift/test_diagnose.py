"""Diagnoses: said where they fit, and nothing where nothing does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given as hypothesis
from hypothesis import settings
from hypothesis import strategies as st

from pytest_gradcheck.checks.drift import compare, recordable
from pytest_gradcheck.drift.diagnose import diagnose
from tests.gradients import Array, noise
from tests.objectives import given

if TYPE_CHECKING:
    from pytest_gradcheck.records import Measurement

PARTS = [(layer, part) for layer in ("enc.0", "enc.1", "head") for part in ("weight", "bias")]
LAYERS = {f"l{i}": noise(6, 5, seed=i) for i in range(5)}


def said(now: dict[str, Any], was: dict[str, Any] | None = None, value: float = 1.0) -> list[str]:
    """Return the diagnosis of one gradient against another."""
    return of(given(now, value=value), given(LAYERS if was is None else was))


def of(now: Measurement, was: Measurement) -> list[str]:
    """Return the diagnosis of one measurement against another."""
    return list(compare(now, recordable(was)).diagnosis)


def changed(**layers: Array) -> dict[str, Any]:
    """Return the gradient with some layers replaced."""
    return {**LAYERS, **layers}


@hypothesis(seed=st.integers(0, 5000), share=st.sampled_from([1e-5, 1e-3, 0.1, 1.0, 10.0]))
@settings(max_examples=60, deadline=None)
def test_a_random_change_has_no_story(seed: int, share: float) -> None:
    """Noise of any size added to every parameter must not be explained."""
    now = {
        k: v + share * noise(6, 5, seed=1000 + seed + 7 * i)
        for i, (k, v) in enumerate(LAYERS.items())
    }
    assert said(now, value=1.5) == []


@hypothesis(seed=st.integers(0, 5000))
@settings(max_examples=40, deadline=None)
def test_another_single_number_has_no_story(seed: int) -> None:
    """One number is always a multiple of another: that must not be called a scale."""
    a, b = noise(2, seed=seed)
    was = {"mu": np.array(float(a)), "w": noise(5)}
    now = {"mu": np.array(float(b)), "w": noise(5, seed=1)}
    assert said(now, was, value=1.5) == []


def test_a_single_number_may_flip_its_sign() -> None:
    """Exactly minus the old number is no accident."""
    was = {"mu": np.array(1.25), "w": noise(5)}
    assert said({**was, "mu": np.array(-1.25)}, was, value=2.0) == ["mu: sign flipped"]


@pytest.mark.parametrize("factor", [1.001, 2.0, 0.5, 100.0, -3.0])
@pytest.mark.parametrize("size", [2, 40, 5000])
def test_one_scaled_parameter_is_named_with_its_factor(factor: float, size: int) -> None:
    """A factor on one of several parameters must be told, small or large."""
    was = {"a": noise(size), "b": noise(9, seed=1)}
    now = {**was, "a": factor * was["a"]}
    assert said(now, was, value=2.0) == [f"a: scaled by {factor:g}"]


def test_a_gradient_at_right_angles_has_no_factor() -> None:
    """A factor of zero must not be taken for a scale."""
    was = {"a": np.array([1.0, 0.0, 0.0]), "b": noise(9)}
    assert said({**was, "a": np.array([0.0, 2.0, 0.0])}, was, value=2.0) == []


def test_several_parameters_with_one_fate_share_a_line() -> None:
    """The same thing said of several parameters must be said once, the first three named."""
    now = {k: -v if k != "l4" else v for k, v in LAYERS.items()}
    assert said(now, value=2.0)[0] == "l0, l1, l2 and 1 more: sign flipped"


def test_at_most_three_fates_are_told() -> None:
    """A different factor on every parameter must not become a list of all of them."""
    now = {k: v * (2.0 + i) for i, (k, v) in enumerate(LAYERS.items())}
    assert said(now, value=2.0) == [
        "l0: scaled by 2", "l1: scaled by 3", "l2: scaled by 4",
    ]  # fmt: skip


@pytest.mark.parametrize("scale", [1.0, 1e-170, 1e170])
def test_the_size_of_the_gradient_does_not_matter(scale: float) -> None:
    """Products of huge and of tiny numbers must not hide a flipped sign."""
    was = {k: scale * v for k, v in LAYERS.items()}
    assert said({**was, "l2": -was["l2"]}, was, value=2.0) == ["l2: sign flipped"]


@pytest.mark.parametrize(
    ("factor", "data", "meaning"),
    [
        (24.0, "float32 (24, 3)", "the batch size, 24: a mean that became a sum?"),
        (1 / 24, "float32 (24, 3)", "the batch size, 1/24: a sum that became a mean, or an"),
        (2.0, "", "the number of components, 2: a mean that became a sum?"),
        (7.0, "", "batch size, accumulation steps? 7: a mean that became a sum?"),
        (72.0, "float32 (24, 3)", "the data's 24 x 3, 72: a mean that became a sum?"),
        (1024.0, "float32 (1024,)", "the batch size, 1024: a mean that became a sum?"),
        (1024.0, "", "1024, a power of two: a loss scale that was not divided out?"),
        (2.0**-16, "", "1/65536, one over a power of two: a loss scale divided out twice, or"),
    ],
)
def test_a_whole_factor_is_given_a_meaning(factor: float, data: str, meaning: str) -> None:
    """A factor on everything must be held against the sizes that the test has."""
    one, two = noise(6), noise(6, seed=1)
    was = given({}, terms=_terms(1.0, one, two), point=_point())
    now = given({}, terms=_terms(factor, one, two), point=_point())
    now = replace(now, facts={"data": data} if data else {})
    (first, *rest) = of(now, was)
    assert meaning in first
    assert first.startswith(f"every gradient is scaled by {factor:.6g}, and so is the loss: ")
    assert rest == []


def _point() -> dict[str, Any]:
    return {"a": np.ones(6), "b": np.ones(6)}


def _terms(factor: float, one: Array, two: Array) -> dict[str, Any]:
    first = {"a": factor * one, "b": factor * two}
    second = {"a": factor * two, "b": factor * one}
    return {"x": (factor, first), "y": (2 * factor, second)}


def test_a_factor_that_is_no_whole_number_has_no_meaning() -> None:
    """What stands for nothing must be told as the number it is."""
    now = {k: 1.37 * v for k, v in LAYERS.items()}
    assert said(now, value=1.37) == ["every gradient is scaled by 1.37, and so is the loss"]


def test_a_loss_of_zero_is_not_scaled() -> None:
    """A value that was zero must not be divided by."""
    now = given({k: 2 * v for k, v in LAYERS.items()}, value=1.0)
    (first,) = of(now, given(LAYERS, value=0.0))
    assert first.startswith("every gradient is scaled by 2, the loss is not")


def test_numerically_zero_parameters_do_not_spoil_a_factor() -> None:
    """A bias in front of a batch normalisation carries noise, which no factor explains."""
    was = {**LAYERS, "bias": 1e-9 * noise(4)}
    now = {k: 2 * v for k, v in LAYERS.items()} | {"bias": 1e-9 * noise(4, seed=1)}
    assert said(now, was, value=2.0)[0].startswith("every gradient is scaled by 2, and so is")


def test_one_parameter_that_does_not_fit_spoils_a_factor() -> None:
    """A factor must hold for every parameter that counts, or be told of those it holds for."""
    now = {k: 2 * v for k, v in LAYERS.items()} | {"l3": noise(6, 5, seed=50)}
    assert said(now, value=2.0) == ["l0, l1, l2 and 1 more: scaled by 2"]


def test_what_reaches_back_from_a_layer_is_told() -> None:
    """A change in the middle of a network must show as the last layer that it touches."""
    now = changed(**{k: noise(6, 5, seed=60 + i) for i, k in enumerate(("l0", "l1", "l2"))})
    assert said(now, value=2.0) == ["everything from l2 backwards changed, nothing after it"]


def test_a_change_of_the_backward_pass_alone_is_told() -> None:
    """Where the value is the same to the last digits, the forward pass must be exonerated."""
    now = changed(l0=noise(6, 5, seed=60), l1=noise(6, 5, seed=61))
    assert said(now) == [
        "everything from l1 backwards changed, nothing after it",
        "the loss is unchanged: look at the backward pass (detach, hooks, custom functions)",
    ]


def test_a_lost_gradient_is_told_before_all_else() -> None:
    """Parameters that no longer receive a gradient must be listed together."""
    assert said(changed(l0=np.zeros((6, 5)), l3=np.zeros((6, 5))), value=2.0)[0] == (
        "l0, l3 no longer receive a gradient"
    )


def test_permuted_rows_are_recognised() -> None:
    """The same values in another order must be told from any other change."""
    now = changed(l2=LAYERS["l2"][::-1].copy())
    assert said(now, value=2.0) == ["l2: same values in another order: rows permuted?"]


def test_values_that_only_look_alike_are_not_permuted() -> None:
    """Another sign on one element keeps norm and maximum and is no other order."""
    other = LAYERS["l2"].copy()
    other[0, 0] *= -1.0
    assert said(changed(l2=other), value=2.0) == []


def test_a_component_that_changed_otherwise_is_told_plainly() -> None:
    """Where value and gradient moved by different factors, the component must at least be named."""
    one = {"w": noise(4)}
    was = given({}, terms={"a": (1.0, one), "b": (1.0, one)}, point={"w": np.ones(4)})
    other = {"a": (1.0, one), "b": (5.0, {"w": 2 * one["w"]})}
    found = of(given({}, terms=other, point={"w": np.ones(4)}), was)
    assert found[0] == "component b changed (gradient norm x2), the other one unchanged"


def test_a_component_that_had_no_gradient_has_no_factor() -> None:
    """A norm that was zero must not be divided by, and the component must be named all the same."""
    one, zero = {"w": noise(4)}, {"w": np.zeros(4)}
    was = given({}, terms={"a": (1.0, one), "b": (1.0, zero)}, point={"w": np.ones(4)})
    now = given({}, terms={"a": (1.0, one), "b": (1.0, one)}, point={"w": np.ones(4)})
    told = "component b changed (gradient norm 0 -> 0.6741), the other one unchanged"
    assert of(now, was)[0] == told


def test_a_component_whose_value_alone_moved_is_named() -> None:
    """A wider prior changes the log-density and no gradient at its centre: that must be told."""
    one, other = {"w": noise(4)}, {"w": noise(4, seed=1)}

    def terms(*values: float) -> Measurement:
        found = {name: (v, g) for name, v, g in zip("ab", values, (one, other), strict=True)}
        return given({}, terms=found, point={"w": np.ones(4)}, value=sum(values))

    told = "only the value of component b moved; every gradient is unchanged"
    assert of(terms(1.0, 3.0), terms(1.0, 2.0)) == [told]
    told = "only the values of component a, component b moved; every gradient is unchanged"
    assert of(terms(2.0, 3.0), terms(1.0, 2.0)) == [told]


def test_a_component_that_became_smaller_by_a_size_is_given_a_meaning() -> None:
    """One over a whole number must be shown as such, with what has that size in the test."""
    one, other = {"w": noise(4)}, {"w": noise(4, seed=1)}
    less = {"w": noise(4, seed=1) / 32}
    was = given({}, terms={"a": (1.0, one), "b": (32.0, other)}, point={"w": np.ones(4)})
    now = given({}, terms={"a": (1.0, one), "b": (1.0, less)}, point={"w": np.ones(4)})
    told = "component b x0.03125 (1/32), the other one unchanged: a weight changed?"
    assert of(now, was)[0] == told
    facts = {"data": "(32, 8)"}
    told = told[:-1] + ", or, 32 being the batch size, a sum became a mean?"
    assert of(replace(now, facts=facts), replace(was, facts=facts))[0] == told


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_component_that_is_not_finite_has_not_lost_its_gradient(bad: float) -> None:
    """A norm leaves out what is not finite, and 0 then does not mean that nothing arrives."""
    one, other, broken = {"w": noise(4)}, {"w": noise(4, seed=1)}, {"w": np.full(4, bad)}
    was = given({}, terms={"a": (1.0, one), "b": (1.0, other)}, point={"w": np.ones(4)})
    now = given({}, terms={"a": (1.0, one), "b": (1.0, broken)}, point={"w": np.ones(4)})
    found = of(now, was)
    assert "component b is not finite, the other one unchanged" in found
    assert "no longer" not in "".join(found)


def test_components_that_lost_their_gradient_are_named_whatever_else_moved() -> None:
    """A term that went silent must be told beside others that changed, but not if all did."""
    one, zero = {"w": noise(4)}, {"w": np.zeros(4)}
    other = {"w": noise(4, seed=1)}

    def terms(**found: Any) -> Measurement:
        return given({}, terms=found, point={"w": np.ones(4)})

    was = terms(a=(1.0, one), b=(1.0, one), c=(1.0, one))
    now = terms(a=(2.0, other), b=(0.0, zero), c=(1.0, one))
    assert of(now, was)[0] == "component b no longer has a gradient"
    now = terms(a=(2.0, other), b=(0.0, zero), c=(0.0, zero))
    assert of(now, was)[0] == "component b, component c no longer have a gradient"
    now = terms(a=(0.0, zero), b=(0.0, zero), c=(0.0, zero))
    assert "component" not in "".join(of(now, was))


def test_a_loss_without_components_names_none() -> None:
    """One component alone is the loss itself."""
    one = {"w": noise(4)}
    was = given({}, terms={"a": (1.0, one)}, point={"w": np.ones(4)})
    now = given({}, terms={"a": (2.0, {"w": 2 * one["w"]})}, point={"w": np.ones(4)})
    assert of(now, was) == ["w: scaled by 2"]


def test_no_drift_has_no_cause() -> None:
    """Nothing drifted must mean nothing said."""
    was = given(LAYERS)
    assert diagnose(was, was, ()) == ()
    assert diagnose(was, was, ("perturbed norms",)) == ()


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (2.0, "the loss still is: NaN or Inf arose in the backward pass"),
        (np.nan, "and so was the loss: NaN or Inf arose in the forward pass"),
    ],
)
def test_what_is_newly_not_finite_is_told_with_its_pass(value: float, where: str) -> None:
    """Whether the loss is finite must say in which pass NaN arose."""
    sign = ";" if value == 2.0 else ","
    (first, *rest) = said(changed(l2=np.full((6, 5), np.nan)), value=value)
    assert (first, rest) == (f"l2 was finite in the baseline{sign} {where}", [])
    (first, *rest) = said({k: np.full((6, 5), np.nan) for k in LAYERS}, value=value)
    assert first == f"l0, l1, l2 and 2 more were finite in the baseline{sign} {where}"
    assert rest == []


def test_one_layer_whose_backward_pass_alone_changed_is_named() -> None:
    """Weight and bias of one layer, the loss as it was, must point at that layer."""
    was = {f"{layer}.{part}": noise(4, seed=i) for i, (layer, part) in enumerate(PARTS)}
    now = was | {"enc.1.weight": noise(4, seed=40), "enc.1.bias": noise(4, seed=41)}
    (first,) = said(now, was)
    assert first.startswith("the loss is unchanged: look at the backward pass of enc.1 alone (det")
    assert "of enc.1 alone" not in said(now | {"head.bias": noise(4, seed=42)}, was)[0]


def test_a_fault_of_the_native_gradient_alone_is_explained_by_that() -> None:
    """What float64 does not show must not be explained from the float64 gradient."""
    was = recordable(given(LAYERS))
    was = replace(was, shadow=was.native, shadow_allowances=was.allowances)
    now = given(changed(l2=-LAYERS["l2"]))
    now = replace(now, shadow=was.shadow)
    assert compare(now, was).diagnosis[0] == "l2: sign flipped"
