"""Log-densities that are random, under several seeds, and models over a grid of settings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pymc as pm
import pytest

from pytest_gradcheck import UsageError, check_gradients, replicate_gradients, sweep_gradients
from pytest_gradcheck.explain import explain

DATA = np.arange(100.0)


def batch(size: int = 5, shift: float = 0.0) -> pm.Model:
    """Make a mean of observations of which each evaluation draws a few."""
    with pm.Model() as model:
        x = pm.Normal("x", 0, 1)
        rows = pm.Minibatch(DATA + shift, batch_size=size)
        pm.Normal("y", x, 1, observed=rows, total_size=len(DATA))
    return model


def located(scale: float = 1.0) -> pm.Model:
    """Make a mean of two observations, under a prior of some width, away from its centre."""
    with pm.Model() as model:
        x = pm.Normal("x", 0, scale, initval=2.0)
        pm.Normal("y", x, 1, observed=[1.0, 2.0])
    return model


def test_replicates_of_a_minibatch_are_around_the_whole() -> None:
    """The mean over seeds must be the gradient of all data, within its own interval."""
    found = replicate_gradients(batch(), replicates=64)
    low, high = found.norm.low, found.norm.high
    assert low is not None
    assert high is not None
    assert low < DATA.sum() < high
    assert [each.seed for each in found.each] == list(range(64))


def test_a_seed_draws_the_same_rows_under_every_version() -> None:
    """Replicates that one version of PyMC recorded must be those of another."""
    norms = [each.norm for each in replicate_gradients(batch(), replicates=4).each]
    assert norms == pytest.approx([5600.0, 5040.0, 4960.0, 3840.0], rel=1e-12)


def test_a_larger_batch_has_less_noise() -> None:
    """Sixteen times the rows must have a sixteenth of the variance, nearly."""
    few, many = (replicate_gradients(batch(size), replicates=64) for size in (5, 80))
    assert few.variance.value is not None
    assert many.variance.value is not None
    assert 8 < few.variance.value / many.variance.value < 32


def test_the_model_draws_on_as_if_nothing_had_been() -> None:
    """Replicates must leave the generator of a minibatch as they found it."""
    model = batch()
    before = [
        g.get_value().bit_generator.state for g in pm.pytensorf.find_rng_nodes([model.logp()])
    ]
    replicate_gradients(model, replicates=4)
    after = [g.get_value().bit_generator.state for g in pm.pytensorf.find_rng_nodes([model.logp()])]
    assert after == before
    assert before


def test_a_limit_on_noise_is_judged() -> None:
    """A gradient that drowns in its noise must fail, with the ratio and the seeds."""
    verdict = check_gradients(batch(), replicates=16, min_snr=100.0)
    (line,) = [line for line in explain(verdict) if "replicates [" in line]
    assert "signal-to-noise ratio]  4.34 over 16 seeds" in line
    assert check_gradients(batch(), replicates=16, min_snr=2.0).passed


def test_replicates_are_held_against_a_baseline() -> None:
    """Other data must drift; the same must not, seed by seed."""
    recorded = check_gradients(batch(), replicates=8).measurement
    same = check_gradients(batch(), replicates=8, baseline=recorded).result("drift")
    other = check_gradients(batch(shift=1.0), replicates=8, baseline=recorded).result("drift")
    assert same is not None
    assert other is not None
    assert (same.outcome, other.outcome) == ("passed", "failed")


def test_a_density_without_chance_has_no_noise() -> None:
    """Replicates of a model that draws nothing must be equal, and say so."""
    found = replicate_gradients(located(), replicates=4)
    assert found.variance.value == 0.0
    assert len({each.norm for each in found.each}) == 1


def test_a_sweep_builds_a_model_for_each_setting() -> None:
    """Every setting must be measured on the model that it makes, terms included."""
    found = sweep_gradients({"scale": [0.5, 1.0, 2.0]}, located)
    assert found.passed
    for scale in (0.5, 1.0, 2.0):
        stop = found.at(scale=scale)
        assert stop.components["x"].norm == pytest.approx(2.0 / scale**2)
        assert stop.components["y"].norm == pytest.approx(1.0)
        assert stop.norm == pytest.approx(2.0 / scale**2 + 1.0)


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ({"max_norm_ratio": 2.0}, "gradient norm 9 at scale=0.5, 1.5 at scale=2: ratio 6"),
        (
            {"max_component_ratio": 2.0},
            "gradient norm of component x 8 at scale=0.5, 0.5 at scale=2",
        ),
        ({"max_parameter_ratio": 2.0}, "gradient norm of x 9 at scale=0.5, 1.5 at scale=2"),
    ],
)
def test_a_sweep_says_which_setting_breaks_a_limit(limits: dict[str, Any], text: str) -> None:
    """The worst two values of a setting of the model must be named with what they led to."""
    (finding,) = sweep_gradients({"scale": [0.5, 1.0, 2.0]}, located, **limits).findings
    assert finding.subject == "scale"
    assert text in finding.text


def test_a_sweep_of_a_random_density_takes_seeds_at_every_setting() -> None:
    """Noise must be swept where a setting of the model decides how much there is."""
    found = sweep_gradients({"size": [5, 80]}, batch, replicates=32, max_snr_ratio=1.5)
    (finding,) = found.findings
    assert finding.text.startswith("signal-to-noise ratio 3.134 at size=5, 17.81 at size=80")
    assert str(found).splitlines()[1].split()[:4] == ["size", "logp", "norm", "max"]


def test_a_setting_that_breaks_the_model_is_named() -> None:
    """What cannot be differentiated must be said with the setting that made it so."""

    def build(discrete: bool) -> pm.Model:  # noqa: FBT001 - the name of the setting
        model = located()
        if discrete:
            with model:
                pm.Poisson("k", 1.0)
        return model

    with pytest.raises(UsageError, match=r"^at discrete=True: .* discrete free variables: k"):
        sweep_gradients({"discrete": [False, True]}, build)
