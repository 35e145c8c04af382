from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pytest_gradcheck import check_gradients, store
from pytest_gradcheck.checks.drift import recordable
from pytest_gradcheck.errors import BaselineError
from pytest_gradcheck.records import Measurement
from pytest_gradcheck.serialize import unstorable
from pytest_gradcheck.session.baselines import Address, Decision, settle

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_gradcheck.records import Verdict
    from pytest_gradcheck.session.settings import Mode

BROKEN = BaselineError("test_f.json is damaged; do this")


def judge(scale: float = 1.0, baseline: Measurement | None = None) -> Verdict:
    """Return the verdict on a bowl of some steepness."""
    return check_gradients(
        {"w": np.array([1.0, -2.0]), "v": np.array([0.5])},
        value_and_grad=lambda p: (
            0.5 * float((p["w"] ** 2).sum()),
            {"w": scale * p["w"], "v": 0.1 * p["v"]},
        ),
        baseline=baseline,
    )


@pytest.fixture(scope="module")
def stored() -> Measurement:
    """Return a baseline."""
    return recordable(judge().measurement)


@pytest.fixture
def address(tmp_path: Path) -> Address:
    """Return where the baseline would lie."""
    path = store.locate(tmp_path / "test_m.py", "test_f")
    return Address(path=path, key="test_f[1]", words=("pytest", "x", "--grad-baseline-update"))


def drift(decision: Decision[Verdict]) -> tuple[str, str]:
    """Return outcome and reason of the drift check, which must stand last."""
    result = decision.verdict.results[-1]
    assert result.check == "drift"
    return result.outcome, result.reason


@pytest.mark.parametrize("mode", ["new", "update", "rewrite"])
def test_a_missing_baseline_is_created_on_request(address: Address, mode: Mode) -> None:
    """A mode that records must turn a missing baseline into an entry, and fail nothing."""
    decision = settle(judge(), None, address, mode=mode)
    assert drift(decision) == ("skipped", "no baseline yet: recorded if the test passes")
    assert decision.action == "create"
    assert decision.verdict.passed
    assert isinstance(decision.entry, Measurement)
    assert decision.entry.allowances


def test_a_missing_baseline_fails_otherwise(address: Address) -> None:
    """The mode ``check`` must create nothing, and say what would."""
    decision = settle(judge(), None, address, mode="check")
    result = decision.verdict.results[-1]
    assert drift(decision) == ("failed", "missing")
    assert (decision.action, decision.entry) == ("", None)
    assert result.hints == ("record it with: pytest x --grad-baseline-update",)
    assert "'test_f[1]' in __gradients__/test_m/test_f.json" in result.findings[0].text


@pytest.mark.parametrize("mode", ["check", "new", "update"])
def test_a_gradient_within_its_allowance_is_left(
    address: Address, stored: Measurement, mode: Mode
) -> None:
    """Only ``rewrite`` may touch an entry that fits."""
    verdict = judge(1.0 + 1e-12, stored)
    assert settle(verdict, stored, address, mode=mode) == Decision(verdict=verdict)


@pytest.mark.parametrize("mode", ["check", "new"])
def test_drift_fails(address: Address, stored: Measurement, mode: Mode) -> None:
    """A mode that does not re-record must leave the failure as it is."""
    verdict = judge(1.1, stored)
    assert settle(verdict, stored, address, mode=mode) == Decision(verdict=verdict)
    assert not verdict.passed


def test_an_update_takes_only_what_drifted(address: Address, stored: Measurement) -> None:
    """The entry of an update must be new where the gradient drifted, and as stored elsewhere."""
    decision = settle(judge(1.1, stored), stored, address, mode="update")
    assert drift(decision) == ("skipped", "drift: re-recorded if the test passes")
    assert decision.action == "rewrite"
    assert isinstance(decision.entry, Measurement)
    assert decision.entry["v"] is stored["v"]
    assert decision.entry["w"].norm == pytest.approx(1.1 * stored["w"].norm)


@pytest.mark.parametrize(
    ("scale", "reason"),
    [(1.1, "drift: re-recorded if the test passes"), (1.0, "re-recorded if the test passes")],
)
def test_a_rewrite_takes_everything(
    address: Address, stored: Measurement, scale: float, reason: str
) -> None:
    """The entry of a rewrite must be what was measured, whether or not it drifted."""
    verdict = judge(scale, stored)
    decision = settle(verdict, stored, address, mode="rewrite")
    assert drift(decision) == ("skipped", reason)
    assert isinstance(decision.entry, Measurement)
    assert decision.entry.walked == pytest.approx(scale - 1.0, rel=1e-3)
    assert replace(decision.entry, walked=0.0) == recordable(verdict.measurement)


def test_drift_can_be_tolerated(address: Address, stored: Measurement) -> None:
    """With a warning only, the verdict must pass, and the failure be kept to be told."""
    verdict = judge(1.1, stored)
    decision = settle(verdict, stored, address, mode="check", warn=True)
    assert drift(decision) == ("skipped", "drift: tolerated by --grad-drift=warn")
    assert decision.verdict.passed
    assert decision.tolerated == verdict
    assert decision.action == ""


@pytest.mark.parametrize("mode", ["check", "new"])
def test_an_unreadable_file_fails(address: Address, mode: Mode) -> None:
    """Without an update, the reason must be the whole finding."""
    decision = settle(judge(), BROKEN, address, mode=mode)
    assert drift(decision) == ("failed", "unreadable")
    assert decision.verdict.results[-1].findings[0].text == str(BROKEN)
    assert decision.action == ""


@pytest.mark.parametrize("mode", ["update", "rewrite"])
def test_an_unreadable_file_is_made_anew_on_request(address: Address, mode: Mode) -> None:
    """An update must create the entry of a file that nobody can read."""
    decision = settle(judge(), BROKEN, address, mode=mode)
    assert drift(decision)[0] == "skipped"
    assert decision.action == "create"


def test_a_measurement_that_can_be_stored_is_fit(stored: Measurement) -> None:
    """Nothing may speak against a finite measurement."""
    assert unstorable(stored) == ""


def test_a_measurement_that_is_not_finite_is_unfit(stored: Measurement) -> None:
    """NaN and Inf must never become a baseline, wherever they are."""
    native = replace(stored.native, value=float("nan"))
    assert "NaN or Inf" in unstorable(replace(stored, native=native))
    wild = replace(stored.samples[0], value=float("inf"))
    assert "NaN or Inf" in unstorable(replace(stored, samples=(wild,)))
