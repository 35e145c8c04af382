"""Where a number that is not finite arose, in the words of the model."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Origin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Say which operation made NaN or Inf out of finite numbers, and what went into it.

    Attributes:
        term: the component, layer or function that the operation belongs to; empty where unknown.
        kind: of the term: ``Normal``, ``Potential``, ``Linear``; empty where unknown.
        operation: with its numbers, ready to read: ``0 / 0 = nan``.
        expression: what it computes, in names: ``x / sqrt(sum(x ** 2))``.
        count: how many of its elements are not finite.
        value: whether the value of the term is not finite because of it.
        parameters: those whose gradient is not finite because of it.
        values: parameters that go into it, there: ``tau_log__ = -800 (tau = 0)``.
        rows: observed data that go into it: ``y[3] = 0 (school=D)``.
        source: file and line where the model writes it: ``model.py:12``.
        note: what else helps to understand it.
    """

    term: str = ""
    kind: str = ""
    operation: str
    expression: str = ""
    count: int = 1
    value: bool = False
    parameters: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    source: str = ""
    note: str = ""
