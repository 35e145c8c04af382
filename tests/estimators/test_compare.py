"""Estimators of one gradient against each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pytest_gradcheck import Comparison, UsageError, compare_gradients
from tests.replicated import SIGNAL, noisy

POINT = {name: np.ones_like(one) for name, one in SIGNAL.items()}


def compared(**others: dict[str, Any]) -> Comparison:
    """Return the comparison of a noisy estimator with others."""
    losses = {"first": noisy(noise=0.4), **{k: noisy(**v) for k, v in others.items()}}
    return compare_gradients(POINT, losses, replicates=24)


def test_less_noise_of_the_same_mean() -> None:
    """Half the noise is a quarter of the variance, and the same mean."""
    found = compared(quiet={"noise": 0.2})
    pair = found["quiet"]
    assert found.same_mean
    ratio = pair.variance_ratio
    assert ratio.value == pytest.approx(0.25)
    assert ratio.low is not None
    assert ratio.high is not None
    assert ratio.low <= 0.25 <= ratio.high


def test_another_mean() -> None:
    """A biased estimator must be told, beside one that is not."""
    found = compared(biased={"signal": 1.3, "noise": 0.4}, same={"noise": 0.3})
    assert not found["biased"].same_mean
    assert found["same"].same_mean
    assert not found.same_mean
    assert found["biased"].distance == pytest.approx(0.3, rel=0.3)


def test_common_noise_cancels() -> None:
    """Estimators that draw the same numbers are compared far below their noise."""
    found = compared(near={"signal": 1.001, "noise": 0.4})
    assert not found["near"].same_mean
    assert found["near"].smallest < 1e-3


def test_the_variance_ratio_covers() -> None:
    """The interval must hold the true ratio of independent estimators in most runs."""

    def apart(point: Any) -> tuple[float, Any]:
        np.random.standard_normal(7)  # noqa: NPY002 - other draws than the first
        return noisy(noise=0.4)(point)

    covered = 0
    for seed in range(0, 3000, 100):
        losses = {"a": noisy(noise=0.4), "b": apart}
        ratio = compare_gradients(POINT, losses, replicates=12, seed=seed)["b"].variance_ratio
        covered += bool(ratio.low is not None and ratio.high and ratio.low <= 1 <= ratio.high)
    assert covered >= 26


def test_the_table() -> None:
    """Printing must show every estimator on a line, with the level."""
    lines = str(compared(quiet={"noise": 0.2})).splitlines()
    assert lines[0] == "2 estimators, 24 replicates from seed 0; means differ below 0.0001"
    assert [line.split()[0] for line in lines[1:]] == ["estimator", "first", "quiet"]


@pytest.mark.parametrize(
    ("losses", "options", "text"),
    [
        ({"a": noisy()}, {}, "at least two names"),
        ({"a": noisy(), "b": 3}, {}, "'b' must be a function"),
        ({"a": noisy(), "b": noisy()}, {"replicates": 2}, "at least 4"),
        ({"a": noisy(), "b": noisy()}, {"level": 0.0}, "level must be"),
        ({"a": noisy(), "b": noisy()}, {"max_norm": 1.0}, "judges nothing"),
        ({"a": noisy(), "b": noisy(signal=np.nan)}, {"replicates": 4}, "'b' is not finite"),
    ],
)
def test_misuse(losses: Any, options: dict[str, Any], text: str) -> None:
    """What cannot be compared must be refused."""
    with pytest.raises(UsageError, match=text):
        compare_gradients(POINT, losses, **options)


def test_an_unknown_estimator() -> None:
    """Asking for the first, which is held against nothing, must list the others."""
    with pytest.raises(UsageError, match="known: 'quiet'"):
        _ = compared(quiet={"noise": 0.2})["first"]
