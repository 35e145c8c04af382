"""The one vocabulary of limits, wherever it is written: ini file, markers, call.

Requirements:
    The nearer place wins, limit by limit: call, marker on the test, on its class, on its module,
    ini file. Every value is validated where it is written, before anything is evaluated; an unknown
    limit is an error that names the nearest known one.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any

from pytest_gradcheck.checks import (
    Balance,
    Check,
    Concentration,
    Finite,
    NormBounds,
    Numeric,
    PerturbationStability,
    Reaches,
)
from pytest_gradcheck.errors import UsageError, UsageTypeError
from pytest_gradcheck.limits.assembly import build
from pytest_gradcheck.limits.vocabulary import ARGUMENTS, LIMITS
from pytest_gradcheck.plan import Plan

__all__ = ["LIMITS", "Limits", "parse", "parse_ini"]

_CHECKS = (Finite, Reaches, NormBounds, PerturbationStability, Balance, Numeric, Concentration)
_OPTIONAL = object()
_SINGLE = {bool, float, int, str, type(None)}

_Plain = tuple[tuple[str, type, object], ...]
"""Names, types and values: ``perturb=True`` is not ``perturb=1``, though the two are equal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Hold the limits in force for one measurement.

    Attributes:
        checks: all but drift, in the order in which they are reported.
        drift: whether the baseline is compared.
        min_drift: relative distance below which drift is ignored, or ``None``.
        shadow: whether drift is judged in float64 too.
        given: what was written, by name, defaults left out.
    """

    checks: tuple[Check, ...]
    drift: bool = True
    min_drift: float | None = None
    shadow: bool = True
    given: Mapping[str, object] = field(default_factory=dict)

    def plan(self, *, top: int = 20, baseline: bool = True) -> Plan:
        """Return what the checks need to be measured.

        Args:
            top: largest elements to keep for each parameter.
            baseline: whether there is, or will be, a baseline to compare with.
        """
        plan = Plan(top=top, shadow=self.shadow and self.drift and baseline)
        for check in self.checks:
            plan = check.plan(plan)
        return plan

    def text(self) -> dict[str, str]:
        """Return the limits in force as text, for reports."""
        shown = {c.name: "on" for c in self.checks}
        shown |= {name: _shown(value) for name, value in self.given.items()}
        return shown | {"drift": "on" if self.drift else "off"}


def parse(*layers: tuple[str, Mapping[str, object]]) -> Limits:
    """Return the limits that hold when the later layers win over the earlier ones.

    Args:
        *layers: ``(where it is written, limits by name)``, farthest first. ``None`` takes a limit
            back to its default. The key ``checks`` holds check values, which replace the check of
            the same name that farther layers describe; nearer ones replace it in turn.

    Raises:
        UsageError: an unknown limit or a value it does not accept, with where it is written.
    """
    plain = [one for _, layer in layers if (one := _plain(layer)) is not None]
    if len(plain) == len(layers):
        with suppress(UsageError):  # and say below where the mistake is
            return _known(*plain)
    return _parsed(layers)


def _plain(layer: Mapping[str, object]) -> _Plain | None:
    """Return what tells a layer of single values apart, ``None`` for one that holds others."""
    found = tuple([(name, type(value), value) for name, value in layer.items()])
    return found if all(kind in _SINGLE for _, kind, _ in found) else None


@lru_cache(maxsize=128)
def _known(*layers: _Plain) -> Limits:
    """Return the limits of layers of single values, which many tests have in common."""
    return _parsed([("", {name: value for name, _, value in layer}) for layer in layers])


def _parsed(layers: Sequence[tuple[str, Mapping[str, object]]]) -> Limits:
    """Return the limits of some layers, farthest first."""
    merged: dict[str, object] = {}
    replaced: dict[str, Check] = {}
    for where, layer in layers:
        try:
            here = _values(layer["checks"]) if "checks" in layer else {}
            for name, value in layer.items():
                if name != "checks":
                    merged[name] = _valid(name, value)
                    _refuse_both(name, value, here)
                    replaced.pop(LIMITS[name].check, None)
            replaced |= here
        except UsageError as error:
            msg = f"{where}: {error}"
            raise type(error)(msg) from None
    given = {name: value for name, value in merged.items() if value is not None}
    where = layers[-1][0] if layers else "the limits"
    try:
        built = build(given)
    except UsageError as error:
        msg = f"{where}: {error}"
        raise type(error)(msg) from None
    checks = {check.name: check for check in built} | replaced
    order = _order()
    return Limits(
        checks=tuple(sorted(checks.values(), key=lambda c: order.get(c.name, len(order)))),
        drift=bool(given.get("drift", True)),
        shadow=bool(given.get("shadow", True)),
        min_drift=given.get("min_drift"),  # type: ignore[arg-type] # validated above
        given=given | {name: repr(check) for name, check in replaced.items()},
    )


@cache
def _order() -> Mapping[str, int]:
    """Return where each built-in check stands in reports."""
    return {c().name: i for i, c in enumerate(_CHECKS)}


def parse_ini(name: str, text: str) -> object:
    """Return the value that an ini option ``grad_<name>`` stands for.

    Raises:
        UsageError: the text is not a value that this limit accepts.
    """
    words = {"true": True, "on": True, "yes": True, "false": False, "off": False, "no": False}
    value: object = words.get(text.strip().lower(), _OPTIONAL)
    if value is _OPTIONAL:
        try:
            value = ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, TypeError):
            value = tuple(text.replace(",", " ").split())
    try:
        return _valid(name, value)
    except UsageError as error:
        said = (isinstance(value, tuple) and _refusal(name, text.strip())) or error
        msg = f"grad_{name} = {text.strip()}: {said}"
        raise type(said)(msg) from None


def _refusal(name: str, value: object) -> UsageError | None:
    """Return what is wrong with a value, ``None`` where nothing is."""
    try:
        _valid(name, value)
    except UsageError as error:
        return error
    return None


def _valid(name: str, value: object) -> object:
    """Return the value of a known limit, or say what is wrong with it."""
    if name in ARGUMENTS:
        msg = f"{name!r} is no limit but an argument: write it in the call, gradcheck(..., {name}=)"
        raise UsageError(msg)
    if name not in LIMITS:
        near = difflib.get_close_matches(name, (*LIMITS, *ARGUMENTS), n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(LIMITS)}"
        msg = f"unknown limit {name!r}; {hint}"
        raise UsageError(msg)
    if value is not None:
        LIMITS[name].validate(name, value)
    return value


def _values(value: object) -> dict[str, Check]:
    """Return check values by name, the users' own included; anything else is an error."""
    several = isinstance(value, Sequence) and not isinstance(value, str)
    items: Sequence[Any] = value if several else (value,)  # type: ignore[assignment] # one of two
    taken = {*(c().name for c in _CHECKS), *LIMITS}
    for item in items:
        if isinstance(item, _CHECKS):
            continue
        parts = (getattr(item, part, None) for part in ("plan", "judge"))
        if isinstance(item, type) or not all(map(callable, parts)):
            names = ", ".join(c.__name__ for c in _CHECKS)
            msg = (
                f"{item!r} is not a check; write limits by keyword, or pass one of {names}, or a "
                "value with name, plan(plan) and judge(measurement) (pytest_gradcheck.Check)"
            )
            raise UsageTypeError(msg)
        name = getattr(item, "name", None)
        if not isinstance(name, str) or not name.strip() or name in taken:
            msg = f"the check {item!r} needs a name of its own, not {name!r}"
            raise UsageError(msg)
    return {item.name: item for item in items}


def _refuse_both(name: str, value: object, here: Mapping[str, Check]) -> None:
    """Refuse a limit beside a check value that would make it do nothing."""
    if LIMITS[name].check in here:
        msg = f"{name}={value!r} stands beside {here[LIMITS[name].check]!r}; write one of the two"
        raise UsageError(msg)


def _shown(value: object) -> str:
    """Return a value as text."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, int | float) else str(value)
