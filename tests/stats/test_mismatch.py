"""A gradient that is not the sum of its components is told, rounding is not."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_gradcheck.api import judged
from pytest_gradcheck.limits import parse
from pytest_gradcheck.point import NumpyView
from pytest_gradcheck.records import ComponentEvaluation, Evaluation, Mismatch
from pytest_gradcheck.stats.mismatch import mismatches
from tests.objectives import bowl

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike

    from pytest_gradcheck.records import Objective

NAN, INF = math.nan, math.inf


def views(grads: Mapping[str, ArrayLike | None]) -> dict[str, NumpyView | None]:
    """Return gradients as an evaluation has them."""
    return {k: None if g is None else NumpyView(np.asarray(g, float)) for k, g in grads.items()}


def evaluation(
    value: float,
    grads: Mapping[str, ArrayLike | None],
    **terms: tuple[float, Mapping[str, ArrayLike | None]],
) -> Evaluation:
    """Return an evaluation with components."""
    components = {
        name: ComponentEvaluation(value=v, grads=views(g)) for name, (v, g) in terms.items()
    }
    return Evaluation(value=value, grads=views(grads), components=components)


def test_what_adds_up_is_no_mismatch() -> None:
    """Components that sum to the gradient must be left alone, disconnected ones included."""
    whole = evaluation(
        3.0, {"u": [4.0, 0.0], "v": None},
        a=(1.0, {"u": [5.0, 1.0], "v": None}), b=(2.0, {"u": [-1.0, -1.0]}),
    )  # fmt: skip
    assert mismatches(whole, "logp") == ()


def test_a_gradient_without_components_has_nothing_to_differ_from() -> None:
    """A single scalar must pass."""
    assert mismatches(evaluation(1.0, {"u": [1.0]}), "logp") == ()


def test_another_gradient_is_told_with_its_distance() -> None:
    """The distance must be relative to what was added up, parameter by parameter."""
    whole = evaluation(3.0, {"u": [4.0], "v": [1.0]}, a=(3.0, {"u": [5.0], "v": [1.0]}))
    assert mismatches(whole, "logp") == (Mismatch(subject="u", distance=0.2),)


def test_another_value_is_told() -> None:
    """Values of terms that do not sum to the log-density must be told as such."""
    whole = evaluation(3.0, {"u": [1.0]}, a=(4.0, {"u": [1.0]}))
    assert mismatches(whole, "logp") == (Mismatch(subject="logp", distance=0.25),)


@pytest.mark.parametrize(
    ("whole", "parts", "only_whole", "only_sum"),
    [
        ([NAN, 1.0], [0.0, 1.0], 1, 0),
        ([0.0, 1.0], [INF, 1.0], 0, 1),
        ([NAN, 1.0], [NAN, 1.0], 0, 0),
        ([NAN, 1.0], [0.0, NAN], 1, 1),
    ],
)
def test_what_is_finite_in_one_alone_is_counted(
    whole: list[float], parts: list[float], only_whole: int, only_sum: int
) -> None:
    """NaN must be counted where it is in one of the two, and nowhere else be taken for distance."""
    found = mismatches(evaluation(1.0, {"u": whole}, a=(1.0, {"u": parts})), "logp")
    wanted = Mismatch(subject="u", only_whole=only_whole, only_sum=only_sum)
    assert found == ((wanted,) if only_whole or only_sum else ())


@pytest.mark.parametrize(("value", "term", "wanted"), [(NAN, 1.0, (1, 0)), (1.0, INF, (0, 1))])
def test_a_value_finite_in_one_alone_is_counted(
    value: float, term: float, wanted: tuple[int, int]
) -> None:
    """The value must be held to the same as an element."""
    (found,) = mismatches(evaluation(value, {"u": [1.0]}, a=(term, {"u": [1.0]})), "logp")
    assert (found.subject, found.only_whole, found.only_sum) == ("logp", *wanted)


def test_two_values_that_are_not_finite_agree() -> None:
    """Where neither is finite there is nothing to tell."""
    whole = evaluation(NAN, {"u": [1.0]}, a=(-INF, {"u": [1.0]}))
    assert mismatches(whole, "logp") == ()


@settings(deadline=None)
@given(size=st.floats(1e-200, 1e200), noise=st.floats(-1e-6, 1e-6), spread=st.floats(1.0, 1e6))
def test_rounding_is_no_mismatch_at_any_size(size: float, noise: float, spread: float) -> None:
    """Noise far above that of float64 must pass, even where large terms cancel."""
    big = size * spread
    whole = evaluation(
        0.0, {"u": [size + noise * big]}, a=(0.0, {"u": [big]}), b=(0.0, {"u": [size - big]})
    )
    assert mismatches(whole, "logp") == ()


def test_a_parameter_of_no_weight_is_left_alone() -> None:
    """Where terms cancel to nothing against the whole gradient, what is left is rounding."""
    whole = evaluation(0.0, {"u": [1e8], "v": [1e-6]}, a=(0.0, {"u": [1e8], "v": [-3e-6]}))
    assert mismatches(whole, "logp") == ()


def liar(wrong: float) -> Objective:
    """Return a bowl whose one component is wrong by a factor, from a function of its own."""
    honest = bowl(w=[3.0, 4.0])

    def value_and_grad(point: object = None, **options: object) -> Evaluation:
        right = honest.value_and_grad(point, **options)
        term = ComponentEvaluation(value=right.value, grads=views({"w": [3.0 * wrong, 4.0]}))
        return dataclasses.replace(right, components={"half": term})

    return dataclasses.replace(honest, value_and_grad=value_and_grad, separate_terms=True)


def test_a_mismatch_fails_the_finite_check() -> None:
    """The reader must see that the sum of the terms is not what the sampler sees."""
    assert judged(liar(1.0), parse()).passed
    verdict = judged(liar(1.1), parse())
    (failure,) = verdict.failures
    (finding,) = failure.findings
    assert (failure.check, finding.subject) == ("finite", "w")
    assert finding.text == (
        "the sampler's function and the sum of the terms differ: relative distance 0.0579, more "
        "than rounding explains: the log-density is numerically unstable here"
    )


@pytest.mark.parametrize(
    ("wrong", "text"), [(NAN, "differ: 1 not finite in the sum alone: the log-density is")]
)
def test_a_mismatch_of_nan_is_told(wrong: float, text: str) -> None:
    """What is finite for the sampler alone must be told as well."""
    findings = judged(liar(wrong), parse()).failures[0].findings
    assert text in findings[-1].text
