"""Draws of a sampler are asked for in one way, and misuse is told at once."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pytest_gradcheck import posterior_points
from pytest_gradcheck.errors import UsageError, UsageTypeError


def test_draws_are_the_default() -> None:
    """Without a word all draws must be meant."""
    assert posterior_points(SimpleNamespace(posterior={})).which == "draws"


def test_what_has_no_posterior_is_refused() -> None:
    """Anything else than what a sampler returned must be an error that says what is wanted."""
    with pytest.raises(UsageTypeError, match=r"takes what pm.sample\(\) returned.*, not dict"):
        posterior_points({})


def test_an_unknown_kind_is_refused() -> None:
    """A mistyped kind must be answered with those that there are."""
    with pytest.raises(UsageError, match="'divergence' is not one of draws, divergences"):
        posterior_points(SimpleNamespace(posterior={}), which="divergence")  # type: ignore[arg-type]


@pytest.mark.parametrize("groups", [{}, {"sample_stats": {}}])
def test_divergences_need_their_flags(groups: dict[str, object]) -> None:
    """Where nothing says which draws diverged that must be an error."""
    with pytest.raises(UsageError, match="needs the variable 'diverging'"):
        posterior_points(SimpleNamespace(posterior={}, **groups), which="divergences")
