"""How the ranks of a distributed run find each other before they depend on each other.

A collective operation hangs when one rank never comes. So every rank says that it is there, or why
it is not, in a key-value store that all of them reach, and only then do they go on together.

Requirements:
    No framework is known here: a store is what `Store` describes. What is said is named by the test
    and a running number, so that a rank which skips something is noticed, and never answered with
    somebody else's turn. A meeting takes a handful of requests of each rank, however many ranks
    there are, for all of them ask the same server.
"""

from __future__ import annotations

import json
import time
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from pytest_gradcheck.errors import RankError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SCOPE", "TIMEOUT", "Meeting", "Store"]

SCOPE: Final[ContextVar[str]] = ContextVar("SCOPE", default="")
"""The test that runs, the same text on every rank."""

TIMEOUT: Final[ContextVar[float]] = ContextVar("TIMEOUT", default=300.0)
"""Seconds that ranks wait for each other."""

_FIRST_PAUSE = 0.001
_LONGEST_PAUSE = 0.1
_ROLL_CALL = 0.5  # seconds between questions who is missing: many requests, one for each rank
_SHOWN = 3
_FINISHED = "finished"


class Store(Protocol):
    """Keep text by key for all ranks."""

    def set(self, key: str, value: str) -> None:
        """Keep a value."""
        ...

    def get(self, key: str) -> bytes:
        """Return a value that is there."""
        ...

    def multi_get(self, keys: list[str]) -> list[bytes]:
        """Return values that are there."""
        ...

    def add(self, key: str, amount: int) -> int:
        """Count up, and return the sum so far."""
        ...

    def check(self, keys: list[str]) -> bool:
        """Return whether all keys are there."""
        ...

    def delete_key(self, key: str) -> bool:
        """Forget a value."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Meeting:
    """Let the ranks of a run meet in a store.

    Attributes:
        store: that all of them reach.
        rank: of this process.
        size: number of ranks.
    """

    store: Store
    rank: int
    size: int

    def meet(self, key: str, says: str = "", *, trouble: str = "") -> list[str]:
        """Wait until every rank is here, and return what each of them says.

        Args:
            key: of this meeting; never used before.
            says: this rank's part.
            trouble: why this rank cannot go on, empty where it can.

        Raises:
            RankError: a rank has trouble, has left the test, or did not come in time.
        """
        self.say(key, says, trouble=trouble)
        return [] if trouble else self.hear(key)

    def say(self, key: str, says: str = "", *, trouble: str = "") -> None:
        """Leave this rank's part of a meeting, and go on."""
        self.store.set(f"{SCOPE.get()}/{key}/{self.rank}", json.dumps([says, trouble]))

    def hear(self, key: str) -> list[str]:
        """Wait for every rank's part of a meeting, and return what each of them says.

        Raises:
            RankError: as for `meet`.
        """
        scope = SCOPE.get()
        keys = [f"{scope}/{key}/{rank}" for rank in range(self.size)]
        self._wait(keys, scope)
        heard = [json.loads(said) for said in self.store.multi_get(keys)]
        lost = {rank: why for rank, (_, why) in enumerate(heard) if why}
        if lost:
            raise RankError(_sentence(lost))
        return [said for said, _ in heard]

    def forget(self, key: str) -> None:
        """Forget what this rank said at a meeting that all ranks have left."""
        self.store.delete_key(f"{SCOPE.get()}/{key}/{self.rank}")

    def leave(self, scope: str, why: str) -> None:
        """Tell the others that this rank takes no further part in a test."""
        self.store.set(_gone(scope, self.rank), why)

    def left(self, scope: str) -> dict[int, str]:
        """Return the ranks that take no further part in a test, and why."""
        others = [rank for rank in range(self.size) if rank != self.rank]
        # Who left the run, an empty scope, left every test that is still to come.
        gone = [(rank, _gone(where, rank)) for where in ("", scope) for rank in others]
        return {rank: self.store.get(k).decode() for rank, k in gone if self.store.check([k])}

    def finish(self) -> None:
        """Say that this rank has nothing more to do; the others stay until rank 0 has said so.

        A launcher stops every rank as soon as one of them ends with an error.
        """
        if self.rank == 0:
            self.store.set(_FINISHED, "")
            return
        deadline = time.monotonic() + TIMEOUT.get()
        while not self.store.check([_FINISHED]) and time.monotonic() < deadline:
            time.sleep(_LONGEST_PAUSE)

    def _wait(self, keys: Sequence[str], scope: str) -> None:
        """Wait for all keys, as long as it makes sense."""
        started, pause = time.monotonic(), _FIRST_PAUSE
        asked = started
        while not self.store.check(list(keys)):
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            now = time.monotonic()
            if now - asked < min(_ROLL_CALL, TIMEOUT.get()):
                continue
            asked = now
            # Who left after saying its part is no reason to stop waiting for the others.
            absent = {rank for rank, key in enumerate(keys) if not self.store.check([key])}
            lost = {rank: why for rank, why in self.left(scope).items() if rank in absent}
            if lost:
                raise RankError(_sentence(lost))
            if absent and now - started >= TIMEOUT.get():
                numbers = ", ".join(map(str, sorted(absent)))
                msg = (
                    f"rank {numbers} did not come within {TIMEOUT.get():g} s: every rank must make "
                    "the same calls in the same order"
                )
                raise RankError(msg)


def _gone(scope: str, rank: int) -> str:
    """Return the key under which a rank says that it left a test."""
    return f"gone/{scope}/{rank}"


def _sentence(lost: dict[int, str]) -> str:
    """Return which ranks stopped and why."""
    said = "; ".join(f"rank {rank}: {why}" for rank, why in list(lost.items())[:_SHOWN])
    more = f"; and {len(lost) - _SHOWN} more ranks" if len(lost) > _SHOWN else ""
    return f"another rank stopped: {said}{more}"
