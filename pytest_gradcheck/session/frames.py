"""How a failure looks where pytest shows it: without the frames of this package, and how wide."""

from __future__ import annotations

from shutil import get_terminal_size
from types import TracebackType

__all__ = ["message_width", "shorn"]

_OURS = __name__.partition(".")[0]
_MARGIN = 8  # what pytest writes before each line of a message


def shorn(error: Exception) -> Exception:
    """Return an exception without the frames of this package in its traceback."""
    return error.with_traceback(_theirs(error.__traceback__))


def _theirs(traceback: TracebackType | None) -> TracebackType | None:
    """Return a traceback without the frames of this package."""
    if traceback is None:
        return None
    rest = _theirs(traceback.tb_next)
    package, _, module = traceback.tb_frame.f_globals.get("__name__", "").partition(".")
    if package == _OURS and module:
        return rest
    return TracebackType(rest, traceback.tb_frame, traceback.tb_lasti, traceback.tb_lineno)


def message_width() -> int:
    """Return how wide a line of a failure's message may be, beside what pytest writes before it."""
    return get_terminal_size().columns - _MARGIN
