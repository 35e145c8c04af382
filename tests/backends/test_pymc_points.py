"""Points by name: where samplers start, what the prior draws, where a sampler was."""

from __future__ import annotations

import functools
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import arviz
import numpy as np
import pymc as pm
import pytest
import xarray as xr

from pytest_gradcheck import check_gradients, measure_gradients, posterior_points
from pytest_gradcheck.backends import objective
from pytest_gradcheck.errors import UsageError, UsageTypeError
from pytest_gradcheck.explain import explain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pytest_gradcheck.records import Objective, Sample

LOW, INSIDE, WEIGHT = 0.1, 1.0, 1 / 3


@functools.cache
def bounded() -> pm.Model:
    """Make a model with a transform that depends on another variable, and one of another size."""
    with pm.Model() as model:
        low = pm.Normal("low")
        inside = pm.Uniform("inside", low, low + 2)
        weight = pm.Dirichlet("weight", np.ones(3))
        pm.Normal("y", inside + weight[0], 1, observed=0.3)
    return model


def target() -> Objective:
    """Return the objective of that model."""
    return objective(bounded())


def sampled(diverged: tuple[tuple[int, int], ...] = ()) -> SimpleNamespace:
    """Return two chains of five draws, numbered as after a warm-up of 100."""
    flags = np.zeros((2, 5), dtype=bool)
    for place in diverged:
        flags[place] = True
    both = ("chain", "draw")
    low = LOW + 0.01 * np.arange(10.0).reshape(2, 5)
    posterior = xr.Dataset(
        {
            "low": (both, low),
            "inside": (both, np.full((2, 5), INSIDE)),
            "weight": ((*both, "k"), np.full((2, 5, 3), WEIGHT)),
        },
        coords={"chain": [0, 1], "draw": range(100, 105)},
    )
    return SimpleNamespace(
        posterior=posterior, sample_stats=xr.Dataset({"diverging": (both, flags)})
    )


def samples(at: object, count: int = 3, **options: Any) -> tuple[Sample, ...]:
    """Return what a check found at points."""
    return check_gradients(bounded(), at=at, samples=count, **options).measurement.samples


@pytest.mark.parametrize(
    ("at", "label", "values"),
    [
        ("prior", "prior draw", [-10.1556, -17.3289, -6.48679]),
        ("jitter", "jittered start", [-8.05917, -5.33194, -6.62444]),
    ],
)
def test_a_seed_names_one_point_under_every_version(
    at: str, label: str, values: list[float]
) -> None:
    """The same seed must lead to the same point, and the row must say which one it is."""
    found = samples(at)
    assert [s.label for s in found] == [f"{label} #{i} (seed {i})" for i in range(3)]
    assert [s.value for s in found] == pytest.approx(values, rel=1e-5)
    assert samples(at, 2) == found[:2]


def test_the_seed_of_the_points_can_be_chosen() -> None:
    """Another first seed must move the window of points, not change them."""
    probe = measure_gradients(bounded(), at="prior")
    first, second = (probe.perturbed(samples=2, seed=seed).samples for seed in (0, 1))
    assert [s.label for s in second] == ["prior draw #0 (seed 1)", "prior draw #1 (seed 2)"]
    assert first[1].value == second[0].value


def test_the_point_itself_stays_the_initial_one() -> None:
    """Statistics, and the baseline with them, must be those at the initial point."""
    at_prior = check_gradients(bounded(), at="prior", samples=2).measurement
    plain = check_gradients(bounded(), at="initial").measurement
    assert (at_prior.native, at_prior.point) == (plain.native, plain.point)
    assert [s.label for s in plain.samples] == [f"perturbed 1e-03 #{i}" for i in range(4)]


def test_prior_draws_overrule_initial_values() -> None:
    """A variable that the user gave a value to start from must be drawn as well."""
    with pm.Model() as model:
        pm.Normal("x", initval=5.0)
    starts = objective(model).named
    assert starts is not None
    points = starts("prior")
    assert points is not None
    assert [abs(float(p.values["x"])) < 4.5 for p in points(3, 0)] == [True] * 3


def test_draws_are_mapped_to_the_unconstrained_space() -> None:
    """A draw must become the point that the model's own transforms lead to."""
    starts = target().named
    assert starts is not None
    points = starts(sampled())
    assert points is not None
    first = points(10, 0)[0].values
    share = (INSIDE - LOW) / 2
    wanted: dict[str, NDArray[np.float64]] = {
        "low": np.array(LOW),
        "inside_interval__": np.log(share / (1 - share)),
        "weight_simplex__": np.zeros(2),
    }
    assert list(first) == list(wanted)
    for name, value in wanted.items():
        np.testing.assert_allclose(first[name], value, atol=1e-12)


def test_draws_are_spread_over_all_chains() -> None:
    """So many draws as asked for must stand at equal distances, and be named as the sampler did."""
    labels = [s.label for s in samples(posterior_points(sampled()), 4)]
    assert labels == [
        "posterior chain 0 draw 102", "posterior chain 0 draw 104",
        "posterior chain 1 draw 102", "posterior chain 1 draw 104",
    ]  # fmt: skip
    assert len(samples(sampled(), 50)) == 10


def test_the_last_divergences_are_found() -> None:
    """Of the divergences those at the end of the chains must be taken."""
    at = posterior_points(sampled(((0, 0), (1, 2), (0, 3))), which="divergences")
    labels = [s.label for s in samples(at, 2)]
    assert labels == ["divergence chain 1 draw 102", "divergence chain 0 draw 103"]


def test_what_pm_sample_returns_is_taken_as_it_is() -> None:
    """The container of the installed ArviZ must do, its draws being those of the posterior."""
    posterior, stats = sampled().posterior, sampled().sample_stats
    if int(arviz.__version__.partition(".")[0]) < 1:
        idata = arviz.InferenceData(posterior=posterior, sample_stats=stats)
    else:
        idata = xr.DataTree.from_dict({"posterior": posterior, "sample_stats": stats})
    assert [s.label for s in samples(idata, 1)] == ["posterior chain 1 draw 104"]


@pytest.mark.parametrize(
    ("at", "message"),
    [
        (
            "priors",
            r"at='priors' is no point: .* 'initial', 'jitter', 'prior', or posterior_points",
        ),
        (posterior_points(sampled(), which="divergences"), "the sampler did not diverge"),
        (
            SimpleNamespace(posterior=xr.Dataset({"low": (("chain", "draw"), [[1.0]])})),
            r"the posterior has no inside, weight; .* of the same model \(it has low\)",
        ),
    ],
)
def test_what_names_no_point_is_an_error(at: object, message: str) -> None:
    """A wrong name, another model's draws and a sampler without divergences must be refused."""
    with pytest.raises(UsageError, match=message):
        samples(at)


def test_a_point_of_another_type_is_an_error() -> None:
    """What is neither a mapping nor a name must be refused by its type."""
    with pytest.raises(UsageTypeError, match=r"or posterior_points\(idata\); not int"):
        samples(3)


def test_points_that_nothing_evaluates_are_an_error() -> None:
    """Where perturbations are off, points by name must not be forgotten silently."""
    with pytest.raises(UsageError, match="nothing to act on: perturb is off"):
        check_gradients(bounded(), at="prior", perturb=False)


def test_a_row_that_fails_says_which_point_it_was() -> None:
    """A fault far from the start must be found at a draw, and only that draw be blamed."""
    with pm.Model() as model:
        x = pm.Normal("x", 0, 30)
        pm.Potential("cliff", pt_log_of(50 - x))
    verdict = check_gradients(model, at="prior", samples=20)
    bad = [s for s in verdict.measurement.samples if not s.finite]
    assert 0 < len(bad) < 10
    subjects = [line.split("]")[0] for line in explain(verdict) if "perturb [" in line]
    origins = [subject for subject in subjects if subject.endswith("arose in cliff")]
    rows = [subject for subject in subjects if subject not in origins]
    assert rows == [f"  perturb [{s.label}" for s in bad for _ in range(lines_of(s))]
    assert origins, subjects
    assert "scale" not in "".join(explain(verdict))


def pt_log_of(value: Any) -> Any:
    """Return a logarithm, which is NaN beyond its domain."""
    return pm.math.log(value)


def lines_of(sample: Sample) -> int:
    """Return how many findings a sample must lead to: for the value and for the gradient."""
    return int(not np.isfinite(sample.value)) + bool(sample.nonfinite)
