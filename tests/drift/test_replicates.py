"""Replicates against their baseline: seed by seed, or as distributions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pytest_gradcheck.api import judged
from pytest_gradcheck.checks.drift import refreshed
from pytest_gradcheck.drift.distribution import distribution_changes, smallest_effects, summary
from pytest_gradcheck.limits import parse
from pytest_gradcheck.recording import record
from pytest_gradcheck.records import CheckResult, Measurement
from pytest_gradcheck.serialize import baseline_text, from_json, parse_baseline, to_json
from tests.replicated import objective, taken

LIMITS = parse(("these tests", {"replicates": 8}))


def baseline(**options: Any) -> Measurement:
    """Return a recorded baseline as a file gives it back."""
    text = baseline_text({}, {"key": record(objective(**options), LIMITS)})
    found = parse_baseline(text)[1]["key"]
    assert isinstance(found, Measurement)
    return found


def drift(now: Any, was: Measurement) -> CheckResult:
    """Return what the drift check says."""
    result = judged(now, LIMITS, baseline=was).result("drift")
    assert result is not None
    return result


def first_word() -> int:
    """Return a number that tells which seed numpy's stream started from."""
    words: Any = np.random.get_state(legacy=True)[1]  # type: ignore[index] # a tuple when legacy  # noqa: NPY002
    return int(words[0])


def elsewhere(was: Measurement) -> Measurement:
    """Return a baseline that was recorded with other random streams."""
    assert was.replicates is not None
    return replace(was, replicates=replace(was.replicates, stream="another"))


def test_the_same_code_does_not_drift() -> None:
    """Equal seeds give equal replicates."""
    assert drift(objective(), baseline()) == CheckResult(check="drift", outcome="passed")


def test_replicates_come_back_from_json() -> None:
    """Every number of a measurement must survive the trip to a report, exactly."""
    measured = record(objective(weights=lambda: np.ones((2, 3))), LIMITS)
    assert from_json(Measurement, to_json(measured)) == measured


def test_a_file_keeps_what_is_compared() -> None:
    """What a file gives back must be written as the same file."""
    text = baseline_text({}, {"key": record(objective(weights=lambda: [1.0, 2.0]), LIMITS)})
    environment, entries = parse_baseline(text)
    assert baseline_text(environment, entries) == text
    one = entries["key"]
    assert isinstance(one, Measurement)
    found = one.replicates
    assert found is not None
    assert found.ess == pytest.approx(1.8)


def test_a_fault_under_other_seeds_alone() -> None:
    """What the objective's own seed does not show, the replicates must."""
    count = iter(range(1000))

    def late(point: Any) -> tuple[float, Any]:
        from tests.replicated import noisy

        value, grads = noisy()(point)
        state = first_word()
        factor = 1.0 if state == SEED_0 else 1.001
        next(count)
        return value, {**grads, "b": factor * grads["b"]}

    np.random.seed(0)  # noqa: NPY002 - to know its state
    from tests.objectives import of
    from tests.replicated import SIGNAL, noisy

    noisy()({})
    SEED_0 = first_word()  # noqa: N806 - the state after seed 0
    made = of(late, {name: np.ones_like(one) for name, one in SIGNAL.items()})
    (finding,) = drift(made, baseline()).findings
    assert finding.subject == "b"
    assert finding.text.startswith("in 7 of 8 replicates, most with seed ")


def test_other_replicates_are_another_structure() -> None:
    """Replicates of other seeds, or none, must not be compared in silence."""
    was = baseline()
    found = drift(replace(objective(), seed=1), was)
    assert (found.reason, found.findings[0].text) == (
        "structure",
        "8 from seed 0 -> 8 from seed 1",
    )
    found = drift(objective(), replace(was, replicates=None))
    assert found.findings[0].text == "none -> 8 from seed 0"


def test_other_streams_are_compared_as_distributions() -> None:
    """Other draws of the same distribution must pass, and say what could be seen."""
    found = drift(objective(), elsewhere(baseline()))
    assert found.outcome == "passed"
    (finding,) = found.findings
    assert "at most 0.0001 false alarms a run, shared by 5 tests" in finding.text
    assert "sees changes of the norm from" in finding.text


def test_another_distribution_fails() -> None:
    """A sign that flips must be found though no draw is the old one."""
    found = drift(objective(signal=-1.0), elsewhere(baseline()))
    assert found.outcome == "failed"
    assert any(f.text.startswith("mean gradient moved") for f in found.findings)
    assert found.findings[-1].text.startswith("the random streams are not those")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"signal": 1.5}, "typical norm over the seeds"),
        ({"signal": -1.0}, "mean gradient moved"),
        ({"noise": 0.8}, "variance over the seeds"),
    ],
)
def test_each_kind_of_test_sees_its_change(options: dict[str, Any], text: str) -> None:
    """Norms, means and variances must each be seen by the test that is made for them."""
    was = taken(32)
    found = distribution_changes(taken(32, seed=500, **options), was)
    assert any(text in f.text for f in found)


def test_same_distributions_pass() -> None:
    """Replicates of other seeds of the same code must agree, time and again."""
    was = taken(16)
    assert [
        f for i in range(1, 30) for f in distribution_changes(taken(16, seed=50 * i), was)
    ] == []


def test_rounding_is_no_evidence() -> None:
    """A gradient without noise may differ by what its allowance explains, and no more."""
    was = replace(taken(8, noise=0.0), allowances={"w": 1e-5, "b": 1e-5})
    assert distribution_changes(taken(8, noise=0.0, signal=1 + 1e-6), was) == []
    assert distribution_changes(taken(8, noise=0.0, signal=1 + 1e-4), was) != []


def test_the_smallest_effect_is_seen() -> None:
    """A change as large as stated must be found in most runs."""
    was = taken(32)
    effect = max(smallest_effects(was), key=lambda e: e.norm)
    seen = [
        bool(distribution_changes(taken(32, seed=100 * i, signal=1 + effect.norm), was))
        for i in range(1, 11)
    ]
    assert sum(seen) >= 8
    assert "32 replicates compared as distributions" in summary(was)


def test_draws_in_another_order() -> None:
    """Where every replicate is another one of the same distribution, the cause must be named."""

    def shifted(point: Any) -> tuple[float, Any]:
        from tests.replicated import noisy

        np.random.standard_normal(3)  # noqa: NPY002 - as the function does
        return noisy()(point)

    from tests.objectives import of
    from tests.replicated import SIGNAL

    made = of(shifted, {name: np.ones_like(one) for name, one in SIGNAL.items()})
    found = drift(made, baseline())
    assert found.outcome == "failed"
    assert any("drawn in another order" in cause for cause in found.diagnosis)


def test_an_update_keeps_replicates_that_did_not_drift() -> None:
    """Numbers within their allowance are never rewritten; those beyond it are."""
    was = baseline()
    same = refreshed(record(objective(), LIMITS), was)
    other = record(objective(signal=1.1), LIMITS)
    assert same.replicates == was.replicates
    assert refreshed(other, was).replicates == other.replicates
