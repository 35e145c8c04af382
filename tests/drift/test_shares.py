"""The rank whose share of a gradient moved it is told from the shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from pytest_gradcheck.drift.shares import shares_told
from tests.gradients import Array, noise
from tests.objectives import given

if TYPE_CHECKING:
    from pytest_gradcheck.records import GradientStats


def stats(*parts: Array | None) -> GradientStats:
    """Return the statistics of a gradient of a large and a small parameter."""
    point = {"w": np.ones((20, 5)), "b": np.ones(4)}
    return given(dict(zip("wb", parts, strict=True)), point=point).native


def shares(count: int, scale: float = 1.0) -> list[tuple[Array, Array]]:
    """Return what each rank adds."""
    return [
        (scale * noise(20, 5, seed=2 * r), scale * noise(4, seed=2 * r + 1)) for r in range(count)
    ]


def mean(parts: list[tuple[Array, Array]]) -> tuple[Array, Array]:
    """Return the gradient of all ranks."""
    weights, biases = zip(*parts, strict=True)
    return np.sum(weights, axis=0), np.sum(biases, axis=0)


@pytest.mark.parametrize("scale", [1.0, 1e-160, 1e160])
@pytest.mark.parametrize("factor", [1.01, 0.5, 2.0, -1.0, 1e3])
def test_a_rank_whose_loss_is_scaled_is_named_with_the_factor(factor: float, scale: float) -> None:
    """The gradient moves along that rank's share, by as much as the factor says."""
    was = shares(3, scale)
    now = [part if r != 2 else (factor * part[0], factor * part[1]) for r, part in enumerate(was)]
    (said,) = shares_told(stats(*mean(now)), stats(*mean(was)), [stats(*part) for part in now])
    assert said == (f"the change lies along what rank 2 adds: its loss scaled by {factor:.4g}?")


def test_what_moved_everything_or_anything_else_names_no_rank() -> None:
    """A fault of all ranks, or of one rank's data, must not be put down to a scale."""
    was, ones = shares(3), [stats(*part) for part in shares(3)]
    assert shares_told(stats(*(2 * g for g in mean(was))), stats(*mean(was)), ones) == ()
    other = (noise(20, 5, seed=77), noise(4, seed=78))
    now = [other, *was[1:]]
    assert shares_told(stats(*mean(now)), stats(*mean(was)), [stats(*p) for p in now]) == ()


def test_ranks_that_add_the_same_or_nothing_are_named() -> None:
    """The same data on several ranks, and no data on one, must be told before any factor."""
    one, two, three = shares(3)
    was = stats(*mean([one, two, three]))
    (said,) = shares_told(stats(*mean([one, one, two])), was, [stats(*p) for p in (one, one, two)])
    assert said.startswith("ranks 0, 1 add the same to the gradient: do they see the same data")
    zero = (0 * one[0], 0 * one[1])
    (said,) = shares_told(stats(*mean([one, zero])), was, [stats(*one), stats(*zero)])
    assert said.startswith("rank 1 adds nothing to the gradient: no data there, or a detached loss")


def test_shares_that_are_all_zero_or_not_finite_say_nothing() -> None:
    """Nothing must be divided by zero, and NaN is for others to explain."""
    one, was = shares(1)[0], stats(*shares(1)[0])
    zero, bad = stats(0 * one[0], 0 * one[1]), stats(np.full((20, 5), np.nan), one[1])
    assert shares_told(was, was, [zero, zero]) == ()
    assert shares_told(was, was, [bad, was]) == ()


def test_a_parameter_that_nothing_reaches_counts_as_zero() -> None:
    """A parameter without a gradient must not shift the others."""
    was, now = noise(20, 5), 1.5 * noise(20, 5)
    other = noise(20, 5, seed=5)
    (said,) = shares_told(
        stats(now + other, None), stats(was + other, None), [stats(now, None), stats(other, None)]
    )
    assert "rank 0 adds: its loss scaled by 1.5?" in said
