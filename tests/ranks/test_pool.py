"""A pool of ranks never waits for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_gradcheck import RankError, RankPool, UsageError
from tests.ranks import jobs

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_rank_that_never_comes_is_named() -> None:
    """When a rank does not take part, the others must stop in time and name it."""
    with (
        RankPool(2, timeout=10.0) as pool,
        pytest.raises(RankError, match="rank 1 did not come within 10 s: every rank must make"),
    ):
        pool.run(jobs.skips)


@pytest.mark.parametrize(
    ("job", "said"),
    [(jobs.sleeps, "rank 1 did not answer within 25 s"), (jobs.dies, "rank 1 died")],
)
def test_a_rank_that_hangs_or_dies_ends_the_run(job: Callable[[], None], said: str) -> None:
    """A process that never answers must end the run, and the pool must say that it is closed."""
    with RankPool(2, timeout=10.0) as pool:
        with pytest.raises(RankError, match=said):
            pool.run(job)
        with pytest.raises(RankError, match="the pool is closed"):
            pool.run(job)


def test_a_pool_has_as_many_ranks_as_it_has() -> None:
    """Asking for more ranks than there are must be an error that says how many there are."""
    with RankPool(1) as pool, pytest.raises(UsageError, match="ranks=3: the pool has 1 processes"):
        pool.run(jobs.sleeps, ranks=3)
