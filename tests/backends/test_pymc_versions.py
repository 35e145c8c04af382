"""A baseline that one major version of PyMC recorded holds under the other."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pymc as pm
import pytest

from pytest_gradcheck import check_gradients
from pytest_gradcheck.records import Measurement
from pytest_gradcheck.serialize import parse_baseline

EXAMPLES = Path(__file__).parents[2] / "example_project"
BASELINES = EXAMPLES / "tracking" / "__gradients__" / "test_tracking"
TWO_POSTURES = {"dir_hmm_mu_raw": [[0.4, 0.2, -0.9], [0.2, 0.6, 0.8]]}


@pytest.fixture
def arm(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the function that makes the example project's model of a few frames."""
    monkeypatch.syspath_prepend(EXAMPLES)
    build = import_module("models.tracking.model").build
    record = import_module("models.tracking.recording").record
    return lambda frames: build(record(frames=frames))


@pytest.mark.pymc
@pytest.mark.parametrize(
    ("name", "frames", "at"),
    [
        ("test_start", 24, None),
        ("test_known_postures", 24, TWO_POSTURES),
        ("test_short_recording", 5, TWO_POSTURES),
    ],
)
def test_a_baseline_of_pymc_5_holds(arm: Any, name: str, frames: int, at: object) -> None:
    """Structure, point, values, terms and gradients must all be those recorded under PyMC 5."""
    path = BASELINES / f"{name}.json"
    environment, entries = parse_baseline(path.read_text(encoding="utf-8"), source=str(path))
    assert str(environment["pymc"]).startswith("5.")
    baseline = entries[name]
    assert isinstance(baseline, Measurement)
    verdict = check_gradients(arm(frames), at=at, baseline=baseline)
    drift = verdict.result("drift")
    assert drift is not None
    assert (drift.outcome, drift.findings) == ("passed", ())
    assert verdict.measurement.packages["pymc"] == pm.__version__
