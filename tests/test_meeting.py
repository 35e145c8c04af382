"""How ranks find each other, with threads for ranks."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from pytest_gradcheck.errors import RankError
from pytest_gradcheck.meeting import TIMEOUT, Meeting

if TYPE_CHECKING:
    from collections.abc import Iterator


class Shelf:
    """Keep text in a dictionary."""

    def __init__(self) -> None:
        """Start empty."""
        self.kept: dict[str, str] = {}
        self.requests = 0

    def set(self, key: str, value: str) -> None:
        """Keep a value."""
        self.requests += 1
        self.kept[key] = value

    def get(self, key: str) -> bytes:
        """Return a value that is there."""
        self.requests += 1
        return self.kept[key].encode()

    def multi_get(self, keys: list[str]) -> list[bytes]:
        """Return values that are there."""
        self.requests += 1
        return [self.kept[key].encode() for key in keys]

    def add(self, key: str, amount: int) -> int:
        """Count up."""
        self.kept[key] = str(int(self.kept.get(key, "0")) + amount)
        return int(self.kept[key])

    def check(self, keys: list[str]) -> bool:
        """Return whether all keys are there."""
        self.requests += 1
        return all(key in self.kept for key in keys)

    def delete_key(self, key: str) -> bool:
        """Forget a value."""
        return self.kept.pop(key, None) is not None


@pytest.fixture
def pair() -> tuple[Meeting, Meeting]:
    """Return two ranks with one store."""
    store = Shelf()
    return Meeting(store=store, rank=0, size=2), Meeting(store=store, rank=1, size=2)


@pytest.fixture
def patience() -> Iterator[None]:
    """Wait a tenth of a second for a rank that does not come."""
    token = TIMEOUT.set(0.1)
    yield
    TIMEOUT.reset(token)


def test_ranks_hear_each_other(pair: tuple[Meeting, Meeting]) -> None:
    """Each must hear what both said."""
    first, second = pair
    first.say("key", "one")
    assert second.meet("key", "two") == ["one", "two"]
    assert first.hear("key") == ["one", "two"]


def test_a_meeting_asks_the_store_little() -> None:
    """What a rank asks of the one store must not grow with the number of ranks."""
    found = []
    for size in (2, 64):
        store = Shelf()
        ranks = [Meeting(store=store, rank=rank, size=size) for rank in range(size)]
        for one in ranks:
            one.say("key", str(one.rank))
        store.requests = 0
        assert ranks[0].hear("key") == [str(rank) for rank in range(size)]
        found.append(store.requests)
    assert found == [2, 2]


@pytest.mark.usefixtures("patience")
def test_a_rank_that_never_comes_is_named(pair: tuple[Meeting, Meeting]) -> None:
    """Waiting must end, with the rank that did not come."""
    with pytest.raises(RankError, match=r"rank 1 did not come within 0\.1 s"):
        pair[0].meet("key")


def test_a_rank_that_left_is_not_waited_for(pair: tuple[Meeting, Meeting]) -> None:
    """The reason of the one that left must reach the other."""
    pair[1].leave("", "its run ended")
    with pytest.raises(RankError, match="rank 1: its run ended"):
        pair[0].meet("key")


def test_the_others_stay_until_the_first_has_finished(pair: tuple[Meeting, Meeting]) -> None:
    """A rank that failed must not end before rank 0 has said its last word."""
    waiting = threading.Thread(target=pair[1].finish)
    waiting.start()
    time.sleep(0.05)
    assert waiting.is_alive()
    pair[0].finish()
    waiting.join(timeout=5)
    assert not waiting.is_alive()


@pytest.mark.usefixtures("patience")
def test_no_rank_stays_for_ever(pair: tuple[Meeting, Meeting]) -> None:
    """Where rank 0 is gone, the others must end."""
    pair[1].finish()
