"""The errors that users see: what went wrong, where, and what to do about it.

Requirements:
    A failed check is an ``AssertionError``; a mistake in how the plugin is used is a ``ValueError``
    or a ``TypeError``. No other exception of ours ever reaches a test.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "BaselineError",
    "GradientDeviceWarning",
    "GradientDriftWarning",
    "GradientError",
    "MissingExtraError",
    "PrecisionError",
    "RankError",
    "UsageError",
    "UsageTypeError",
    "noted",
]


class GradientError(AssertionError):
    """Report gradients that broke a promise; the message is the whole story."""


class UsageError(ValueError):
    """Report a value that the plugin cannot accept, with what is allowed."""


class UsageTypeError(UsageError, TypeError):
    """Report an argument of the wrong type, with what is allowed."""


class MissingExtraError(UsageError, ImportError):
    """Report an optional package that is needed and absent, with the command that installs it."""


class BaselineError(UsageError):
    """Report a baseline file that cannot be used, with what to do about it."""


class PrecisionError(UsageError):
    """Report that an objective cannot be evaluated in the precision asked for, and why."""


class RankError(UsageError):
    """Report a rank of a distributed run that did not do its part, and why."""


class GradientDeviceWarning(UserWarning):
    """Tell that gradients on a device are reduced on the CPU, and why."""


class GradientDriftWarning(UserWarning):
    """Tell that a gradient drifted from its baseline, where the user asked for a warning."""


@contextmanager
def noted(doing: str, *, where: str = "") -> Iterator[None]:
    """Note on an error of the user's code what was being done, and say where one of ours is.

    Args:
        doing: follows "while" in the note.
        where: begins the message of ours; without it they pass as they are.
    """
    try:
        yield
    except UsageError as error:
        if not where:
            raise
        msg = f"{where}: {error}"
        raise type(error)(msg) from None
    except Exception as error:
        error.add_note(f"while {doing}")
        raise
