"""What replicates must satisfy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pytest_gradcheck import Concentration, UsageError
from pytest_gradcheck.measure import measure
from pytest_gradcheck.plan import Plan
from pytest_gradcheck.records import CheckResult, Measurement
from tests.replicated import objective


def judged(check: Concentration, **options: object) -> CheckResult:
    """Return what a check says of a noisy objective."""
    return check.judge(measure(objective(**options), check.plan(Plan())))


def one_sample() -> object:
    """Return weights of which one is everything."""
    return np.eye(1, 6)


def test_a_quiet_gradient_passes() -> None:
    """Limits that hold must say nothing."""
    check = Concentration(replicates=8, max_cv=0.2, min_snr=2.0, min_ess=5.0, max_weight=1.0)
    assert judged(check, weights=lambda: np.ones((3, 6))) == CheckResult(
        check="replicates", outcome="passed"
    )


@pytest.mark.parametrize(
    ("check", "options", "subject", "text"),
    [
        (Concentration(max_cv=0.01), {}, "gradient norm", "over 8 seeds, max_cv 0.01"),
        (Concentration(min_snr=9.0), {}, "signal-to-noise ratio", "min_snr 9"),
        (
            Concentration(min_ess=2.0),
            {"weights": one_sample},
            "effective sample size",
            "1 of 6 samples (1 instances, 8 seeds; the smallest 1), min_ess 2; one sample carries",
        ),
        (
            Concentration(min_ess=3.0),
            {"weights": lambda: [1.0, -1.0, 1.0, 1.0]},
            "effective sample size",
            "no sample size of importance sampling: with absolute weights it is 4",
        ),
        (
            Concentration(max_weight=0.5),
            {"weights": one_sample},
            "largest weight",
            "1 in absolute value (seed 0), max_weight 0.5",
        ),
        (
            Concentration(),
            {"weights": lambda: [1.0, np.nan]},
            "weights",
            "8 weights are NaN or Inf",
        ),
    ],
)
def test_a_broken_limit(
    check: Concentration, options: dict[str, object], subject: str, text: str
) -> None:
    """Each limit must fail alone, and say what was found and what is allowed."""
    (finding,) = judged(check, **options).findings
    assert finding.subject == subject
    assert text in finding.text


def test_no_signal() -> None:
    """Where noise hides the mean, the message must say so and not only give a zero."""
    texts = [f.text for i in range(9) for f in judged_seed(i).findings]
    assert any("cannot tell the mean gradient from zero" in text for text in texts)


def judged_seed(seed: int) -> CheckResult:
    """Return what a check says of noise alone."""
    check = Concentration(replicates=4, min_snr=0.5)
    made = replace(objective(signal=0.0), seed=100 * seed)
    return check.judge(measure(made, check.plan(Plan())))


def test_seeds_that_are_not_finite() -> None:
    """A seed that gives NaN must fail and be named."""
    measured: Measurement = measure(objective(), Plan(replicates=4))
    assert measured.replicates is not None
    lost = replace(measured.replicates, lost=(7, 9))
    (finding,) = Concentration(replicates=4).judge(replace(measured, replicates=lost)).findings
    assert finding.text == "2 of 4 are not finite: seed 7, 9"


@pytest.mark.parametrize(
    ("limit", "check"),
    [("min_ess", Concentration(min_ess=2.0)), ("max_weight", Concentration(max_weight=2.0))],
)
def test_a_limit_of_weights_needs_weights(limit: str, check: Concentration) -> None:
    """A loss that reports no weights must not pass a limit on them."""
    with pytest.raises(UsageError, match=f"{limit}=2 has nothing to act on: the loss of 'arrays'"):
        judged(check)


def test_without_replicates_the_check_is_skipped() -> None:
    """A measurement that somebody else took has nothing to judge."""
    assert Concentration().judge(measure(objective())).outcome == "skipped"
