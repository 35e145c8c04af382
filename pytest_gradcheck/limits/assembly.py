"""Make checks of limits, and refuse limits that contradict each other or would do nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytest_gradcheck.checks import (
    Balance,
    Concentration,
    Finite,
    NormBounds,
    Numeric,
    PerturbationStability,
    Reaches,
)
from pytest_gradcheck.errors import UsageError

if TYPE_CHECKING:
    from pytest_gradcheck.checks import Check

__all__ = ["build"]

_CONCENTRATION = ("max_cv", "min_snr", "min_ess", "max_weight")


def build(given: Mapping[str, Any]) -> list[Check]:
    """Return the checks that some limits, already validated one by one, stand for.

    Raises:
        UsageError: two limits contradict each other, or one has nothing to act on.
    """
    cosines = _split_cosine(given)
    built: list[Check] = []
    if given.get("finite", True):
        built.append(Finite())
    if given.get("reaches", True):
        built.append(Reaches(**_pick(given, "allow_missing", "allow_zero")))
    else:
        _need(given, "reaches", "allow_missing", "allow_zero")
    bounds = _pick(given, "max_norm", "min_norm", "max_abs", "per_parameter")
    if bounds:
        built.append(NormBounds(**bounds))
    scale = given.get("perturb", True)
    if scale is not False:
        options = _pick(given, "samples", "max_norm_ratio") | _named("scale", scale)
        built.append(PerturbationStability(**options, min_cosine=cosines.get("perturb")))
    else:
        unused = {"min_cosine['perturb']": cosines["perturb"]} if "perturb" in cosines else {}
        _need({**given, **unused}, "perturb", "samples", "max_norm_ratio", *unused)
    balance = Balance(
        max_ratio=given.get("balance") or None,
        max_share=given.get("max_share"),
        min_cosine=cosines.get("balance"),
        max_parameter_ratio=given.get("balance_parameters") or None,
    )
    if balance != Balance():
        built.append(balance)
    numeric = given.get("numeric", False)
    if numeric:
        built.append(Numeric() if numeric is True else numeric)
    if given.get("replicates"):
        names = ("replicates", *_CONCENTRATION)
        built.append(Concentration(**_pick(given, *names)))
    else:
        _need(given, "replicates", *_CONCENTRATION)
    return built


def _split_cosine(given: Mapping[str, Any]) -> dict[str, float]:
    """Return which check `min_cosine` is for: the one that is switched on beside it."""
    value = given.get("min_cosine")
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return dict(value)
    balance = bool(given.get("balance")) or "max_share" in given
    perturb = given.get("perturb", None)
    if balance and perturb:
        msg = (
            f"min_cosine={value!r} could be for perturb or for balance; "
            "write min_cosine={'perturb': ..., 'balance': ...}"
        )
        raise UsageError(msg)
    if not balance and perturb is False:
        msg = f"min_cosine={value!r} has nothing to act on: perturb is off and balance is not set"
        raise UsageError(msg)
    return {"balance": value} if balance else {"perturb": value}


def _need(given: Mapping[str, object], limit: str, *names: str) -> None:
    """Refuse limits that would do nothing because another one is off."""
    for name in names:
        if name in given:
            msg = f"{name}={given[name]!r} has nothing to act on: {limit} is off"
            raise UsageError(msg)


def _pick(given: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Return some of the limits."""
    return {name: given[name] for name in names if name in given}


def _named(name: str, value: object) -> dict[str, Any]:
    """Return a number under another name, and nothing for ``True``."""
    return {} if value is True else {name: value}
