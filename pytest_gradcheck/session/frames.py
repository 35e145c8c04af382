"""Take the frames of this package out of tracebacks: what is left is the user's own code."""

from __future__ import annotations

from types import TracebackType

__all__ = ["shorn"]

_OURS = __name__.partition(".")[0]


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
