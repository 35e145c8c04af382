"""Warnings: each fires where its fault is, alone, and no healthy measurement gets one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pytest_gradcheck import check_gradients
from pytest_gradcheck.caution import cautions
from pytest_gradcheck.records import ComponentStats, Measurement, Sample
from tests.objectives import given

if TYPE_CHECKING:
    from pytest_gradcheck.records import Finding


def terms(*components: tuple[str, float, list[float]]) -> Measurement:
    """Return a measurement with components of given value and gradient."""
    named: dict[str, Any] = {name: (value, {"w": grad}) for name, value, grad in components}
    total = np.sum([grad for _, _, grad in components], axis=0)
    return given({"w": total}, value=sum(value for _, value, _ in components), terms=named)


def near(norms: list[float], scale: float = 1e-3) -> tuple[Sample, ...]:
    """Return perturbed points with gradients of given norms."""
    return tuple(
        Sample(label=f"#{i}", seed=i, scale=scale, value=1.0, norm=norm, cosine=0.9)
        for i, norm in enumerate(norms)
    )


def texts(found: tuple[Finding, ...]) -> list[str]:
    """Return subject and text of warnings."""
    return [f"{one.subject}: {one.text}" for one in found]


HEALTHY = terms(("a", 1.0, [1.0, 0.0]), ("b", 2.0, [0.5, 1.0]))


def test_a_healthy_measurement_gets_none() -> None:
    """Ordinary terms and a gradient that hardly changes must give no warning."""
    assert cautions(replace(HEALTHY, samples=near([1.7, 1.9, 1.8, 1.85]))) == ()


def test_a_singular_start_is_named() -> None:
    """A gradient that collapses at every perturbed point must be warned of, alone."""
    found = texts(cautions(replace(HEALTHY, samples=near([0.1, 0.2, 0.3]))))
    assert len(found) == 1
    assert found[0].startswith("w: the point sits on a singularity: norm 1.8 there, at most 0.3")


@pytest.mark.parametrize("norms", [[0.1, 1.7], [50.0, 60.0], [0.1]])
def test_a_gradient_that_grows_or_scatters_is_no_singularity(norms: list[float]) -> None:
    """A start near an optimum, or one odd sample, must not be called singular."""
    assert cautions(replace(HEALTHY, samples=near(norms))) == ()


def test_a_large_perturbation_says_nothing_of_the_point() -> None:
    """Far away a smaller gradient is no sign of a singularity."""
    assert cautions(replace(HEALTHY, samples=near([0.1, 0.1], scale=1.0))) == ()


def test_a_term_counted_twice_is_named() -> None:
    """Two terms of one value and one direction must be warned of, alone."""
    found = texts(cautions(terms(("y", 3.0, [1.0, 2.0]), ("hmm", 3.0, [1.0, 2.0]))))
    assert found == ["y: has the value and the direction of hmm: is one likelihood counted twice?"]


@pytest.mark.parametrize("other", [("b", 3.0, [2.0, -1.0]), ("b", 3.1, [1.0, 2.0])])
def test_equal_values_or_directions_alone_are_chance(other: tuple[str, float, list[float]]) -> None:
    """Terms that share only the value, or only the direction, must not be warned of."""
    assert cautions(terms(("a", 3.0, [1.0, 2.0]), other)) == ()


def test_a_dominant_term_is_named() -> None:
    """A term with nearly all of the norm must be warned of, alone."""
    found = texts(cautions(terms(("big", 3.0, [1e4, 0.0]), ("small", 2.0, [0.0, 1.0]))))
    assert found == ["big: has 99.99 % of the gradient norm of all components"]


def test_the_only_likelihood_may_dominate_its_priors() -> None:
    """Plenty of data must not be warned of."""
    structure = {"big": "Normal; observed; 20000", "small": "Normal"}
    measured = terms(("big", 3.0, [1e4, 0.0]), ("small", 2.0, [0.0, 1.0]))
    assert cautions(replace(measured, structure=structure)) == ()


def test_a_level_term_is_named() -> None:
    """A term that has no slope anywhere must be warned of, alone."""
    (text,) = texts(cautions(replace(HEALTHY, flat=("a",))))
    assert text.startswith("a: depends on parameters, yet its gradient is exactly zero")


def test_a_random_log_density_is_named() -> None:
    """A log-density that draws must be warned of, alone."""
    (text,) = texts(cautions(replace(HEALTHY, facts={"stochastic": True})))
    assert text.startswith("loss: is random: it was evaluated with seed")


def test_what_is_not_finite_is_no_matter_for_warnings() -> None:
    """A failure must not be accompanied by guesses about it."""
    native = replace(
        HEALTHY.native,
        components=(
            ComponentStats(name="a", value=float("nan"), norm=1.0, share=1.0, finite=False),
        ),
    )
    assert cautions(replace(HEALTHY, native=native, facts={"stochastic": True})) == ()


def test_a_level_term_is_looked_for_at_a_perturbed_point() -> None:
    """A zero at the centre of a term is healthy, a zero around it as well is not."""

    def value_and_grad(point: Any) -> Any:
        w = point["w"]
        values = {"centred": -0.5 * float(w @ w), "steps": 0.0, "slope": float(w.sum())}
        grads = {"centred": {"w": -w}, "steps": {"w": 0 * w}, "slope": {"w": np.ones_like(w)}}
        return values, grads

    verdict = check_gradients({"w": np.zeros(2)}, value_and_grad=value_and_grad)
    assert verdict.passed
    assert verdict.measurement.flat == ("steps",)
    assert [warning.subject for warning in verdict.warnings] == ["steps"]
