"""Say a probable cause once, however many calls have it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["SHOWN", "shown", "together"]

SHOWN = 3
"""Calls that are named under a cause that they share."""

T = TypeVar("T")


def together(calls: Iterable[T], cause_of: Callable[[T], str]) -> list[tuple[str, list[T]]]:
    """Return each cause with the calls that have it, in the order of the first of them.

    Args:
        calls: what is to be listed.
        cause_of: returns the sentence; a call without one stands for itself.
    """
    found: list[tuple[str, list[T]]] = []
    known: dict[str, list[T]] = {}
    for call in calls:
        cause = cause_of(call)
        if cause and cause in known:
            known[cause].append(call)
            continue
        group = [call]
        known[cause] = group
        found.append((cause, group))
    return found


def shown(names: Sequence[str]) -> list[str]:
    """Return the first few of the names, and how many more there are."""
    if len(names) <= SHOWN + 1:  # a line that says "and 1 more" has room for that one
        return list(names)
    return [*names[:SHOWN], f"and {len(names) - SHOWN} more"]
