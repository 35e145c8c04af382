"""What a run leaves for later: entries to record from its report, and which tests it covered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pytest_gradcheck.records import Kept

__all__ = ["Coverage", "Offer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """Hold what ``--grad-baseline-update`` records of a call, or would record.

    Attributes:
        action: ``create`` an entry, or ``rewrite`` the one there is.
        entry: what to record, with its allowances; ``None`` where it is refused.
        refused: why it must not be recorded, empty where nothing speaks against.
        replaces: digest of the entry that the call was compared with, empty where there was none;
            `pytest_gradcheck.filing.digest` makes it.
    """

    action: Literal["create", "rewrite"]
    entry: Kept | None
    refused: str = ""
    replaces: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Hold which tests a run knew and ran, so that shards of one run can be put together.

    Attributes:
        arguments: paths that the run was given, from the root of the project.
        modules: test modules that were collected, from the root.
        collected, selected: tests found, and tests left to run after all filters.
        collected_sum, selected_sum: sums over hashes of their node ids: shards that share no test
            and leave none out have the same sum together.
        variant: that the command line asked for, if it did.
        reasons: what else keeps the run from knowing which baselines are used, in words.
    """

    arguments: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    collected: int = 0
    selected: int = 0
    collected_sum: int = 0
    selected_sum: int = 0
    variant: str | None = None
    reasons: tuple[str, ...] = ()
