"""The errors that users see: what went wrong, where, and what to do about it.

Requirements:
    A failed check is an ``AssertionError``; a mistake in how the plugin is used is a ``ValueError``
    or a ``TypeError``. No other exception of ours ever reaches a test.
"""

from __future__ import annotations

__all__ = [
    "BaselineError",
    "GradientDriftWarning",
    "GradientError",
    "MissingExtraError",
    "PrecisionError",
    "RankError",
    "UsageError",
    "UsageTypeError",
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


class GradientDriftWarning(UserWarning):
    """Tell that a gradient drifted from its baseline, where the user asked for a warning."""
