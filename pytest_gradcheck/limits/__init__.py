"""The one vocabulary of limits: what they are called, what they accept, which checks they make."""

from __future__ import annotations

from pytest_gradcheck.limits.layers import Limits, parse, parse_ini
from pytest_gradcheck.limits.vocabulary import LIMITS

__all__ = ["LIMITS", "Limits", "parse", "parse_ini"]
