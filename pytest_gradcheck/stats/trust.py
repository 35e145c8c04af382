"""Make sure that a place computes what is computed here, before it is used and while it is.

Requirements:
    Before a place is used for something in a process, it has to show it, on some fixed arrays that
    are here as well. If what it gives is wrong, or anything fails, now or later, all that lies
    there is reduced here from then on, and a warning says so, once.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Final, TypeVar

from pytest_gradcheck.errors import GradientDeviceWarning

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_gradcheck.records import ArrayView, Place

__all__ = ["Trust", "place_of"]

_T = TypeVar("_T")


def place_of(view: ArrayView) -> Place | None:
    """Return where an array can be reduced, ``None`` where that is here."""
    place: Place | None = getattr(view, "afar", None)
    return place


class Trust:
    """Remember which places can be used for one thing, by the names of the places."""

    def __init__(self, what: str, trial: Callable[[Place], str]) -> None:
        """Trust no place yet.

        Args:
            what: lies there, in the words of a message: ``gradients``.
            trial: says how what a place gives is wrong; empty if it is not.
        """
        self._what: Final = what
        self._trial: Final = trial
        self.known: Final[dict[str, bool]] = {}

    def use(self, place: Place, action: Callable[[], _T]) -> _T | None:
        """Return what is done in a place, ``None`` where that has to be done here."""
        if place.name not in self.known:
            try:
                wrong = self._trial(place)
            except Exception as error:  # noqa: BLE001 - whatever it is, here it can be done, too
                wrong = f"a trial failed there with {type(error).__name__}: {error}"
            self.known[place.name] = not wrong
            if wrong:
                self._lose(place, wrong)
        if not self.known[place.name]:
            return None
        try:
            return action()
        except Exception as error:  # noqa: BLE001 - as above
            self._lose(place, f"it failed there with {type(error).__name__}: {error}")
            return None

    def _lose(self, place: Place, why: str) -> None:
        """Use a place no more, and say so."""
        self.known[place.name] = False
        msg = (
            f"{self._what} on '{place.name}' are copied to the CPU and reduced there, as {why}; "
            "results are the same, only slower. Please report this with the versions of torch and "
            "of the driver"
        )
        warnings.warn(msg, GradientDeviceWarning, stacklevel=2)
