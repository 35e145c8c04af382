"""What the gradient of the tracking model must satisfy."""

from __future__ import annotations

import pymc as pm
import pytest
from pytest_gradcheck.session.fixture import GradCheck

from models.tracking.model import build
from models.tracking.recording import record

TWO_POSTURES = {"dir_hmm_mu_raw": [[0.4, 0.2, -0.9], [0.2, 0.6, 0.8]]}


@pytest.fixture(scope="module")
def arm() -> pm.Model:
    """Return the model of a short recording."""
    return build(record(frames=24))


@pytest.mark.gradcheck(max_norm=1e7)
def test_start(gradcheck: GradCheck, arm: pm.Model) -> None:
    """The sampler starts from a steep but finite place."""
    gradcheck(arm)


@pytest.mark.gradcheck(max_norm=1e5, max_norm_ratio=5, numeric=True)
def test_known_postures(gradcheck: GradCheck, arm: pm.Model) -> None:
    """Away from zero directions the gradient is tame, stable and right."""
    gradcheck(arm, at=TWO_POSTURES)


@pytest.mark.gradcheck(numeric=True)
def test_short_recording(gradcheck: GradCheck) -> None:
    """The hidden Markov model is right for a number of frames that does not halve evenly."""
    gradcheck(build(record(frames=5)), at=TWO_POSTURES)


def test_start_is_singular(gradcheck: GradCheck, arm: pm.Model) -> None:
    """The steepness comes from directions that start at zero, and from nowhere else."""
    start = gradcheck.measure(arm)
    assert start["dir_hmm_mu_raw"].norm > 0.99 * start.norm
    assert gradcheck.measure(arm, at=TWO_POSTURES).norm < 1e-2 * start.norm


@pytest.mark.full_size
@pytest.mark.gradcheck(max_norm=1e9)
def test_full_size(gradcheck: GradCheck) -> None:
    """One minute of film, 27,025 values: finite at the start and around it."""
    verdict = gradcheck(build(record(frames=1800)))
    assert verdict.measurement.native.size == 27_025
