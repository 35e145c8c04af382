"""The names of the limits, what each accepts, and what it is for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypedDict

from pytest_gradcheck.checks import NormBounds, Numeric
from pytest_gradcheck.checks.replicates import FEWEST
from pytest_gradcheck.checks.validate import count, flag, number, patterns
from pytest_gradcheck.errors import UsageError

if TYPE_CHECKING:
    from pytest_gradcheck.checks import Check

__all__ = ["ARGUMENTS", "LIMITS", "Limit", "LimitOptions"]

ARGUMENTS: Final = ("name", "at", "wrt", "seed", "value_and_grad", "mode", "data", "streaming")
"""What a call takes beside limits, and only a call."""


class LimitOptions(TypedDict, total=False):
    """Type the limits as keyword arguments; `LIMITS` says what each is for."""

    finite: bool | None
    reaches: bool | None
    allow_missing: str | Sequence[str] | None
    allow_zero: str | Sequence[str] | None
    max_norm: float | None
    min_norm: float | None
    max_abs: float | None
    per_parameter: Mapping[str, Mapping[str, float]] | None
    perturb: float | bool | None
    samples: int | None
    max_norm_ratio: float | None
    min_cosine: float | Mapping[str, float] | None
    balance: float | bool | None
    max_share: float | None
    balance_parameters: float | bool | None
    numeric: bool | Numeric | None
    replicates: int | bool | None
    max_cv: float | None
    min_snr: float | None
    min_ess: float | None
    max_weight: float | None
    drift: bool | None
    min_drift: float | None
    shadow: bool | None
    checks: Check | Sequence[Check]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """Describe one limit: what it accepts and what it is for.

    Attributes:
        help: one line, with the default.
        validate: called with name and value; raises `UsageError`.
        check: the name of the check that it sets, empty where that depends or there is none.
    """

    help: str
    validate: Callable[[str, Any], object]
    check: str = ""


def _off_or_number(low: float, *, strict: bool = False) -> Callable[[str, Any], object]:
    """Accept ``False`` for off, or a number."""

    def validate(name: str, value: object) -> object:
        return value if value is False else number(name, value, low=low, strict=strict)

    return validate


def _perturb(name: str, value: object) -> object:
    """Accept a scale, ``True`` for the default one, ``False`` for off."""
    return value if isinstance(value, bool) else number(name, value, strict=True)


def _numeric(name: str, value: object) -> object:
    """Accept ``True``, ``False``, or a `Numeric` check."""
    return value if isinstance(value, Numeric) else flag(name, value)


def _replicates(name: str, value: object) -> object:
    """Accept ``False`` for off, or a number of seeds."""
    return value if value is False else count(name, value, low=FEWEST)


def _positive(name: str, value: object) -> object:
    """Accept a number above zero."""
    return number(name, value, strict=True)


def _cosine(name: str, value: object) -> object:
    """Accept a number, or one for each of the two checks that know cosines."""
    if not isinstance(value, Mapping):
        return number(name, value, low=-1.0, high=1.0)
    if not value or not set(value) <= {"perturb", "balance"}:
        msg = f"{name} takes a number or {{'perturb': ..., 'balance': ...}}, not {value!r}"
        raise UsageError(msg)
    return {key: number(f"{name}[{key!r}]", v, low=-1.0, high=1.0) for key, v in value.items()}


def _bounds(name: str, value: Any) -> object:  # noqa: ANN401 - the check validates it
    """Accept what `NormBounds` accepts."""
    return NormBounds(**{name: value})


LIMITS: Final[Mapping[str, Limit]] = MappingProxyType(
    {
        "finite": Limit(check="finite", help="no NaN, no Inf anywhere; on", validate=flag),
        "reaches": Limit(
            check="reaches", help="every parameter gets a gradient; on", validate=flag
        ),
        "allow_missing": Limit(
            check="reaches", help="patterns that may be disconnected", validate=patterns
        ),
        "allow_zero": Limit(
            check="reaches", help="patterns whose gradient may be zero", validate=patterns
        ),
        "max_norm": Limit(
            check="norm", help="upper bound of the global L2 norm; off", validate=_bounds
        ),
        "min_norm": Limit(
            check="norm", help="lower bound of the global L2 norm; off", validate=_bounds
        ),
        "max_abs": Limit(check="norm", help="upper bound of every element; off", validate=_bounds),
        "per_parameter": Limit(
            check="norm", help="bounds by pattern of names; none", validate=_bounds
        ),
        "perturb": Limit(
            check="perturb", help="scale of the perturbed points; 1e-3", validate=_perturb
        ),
        "samples": Limit(check="perturb", help="number of perturbed points; 4", validate=count),
        "max_norm_ratio": Limit(
            check="perturb",
            help="norm at a perturbed point against the point; off",
            validate=lambda name, value: number(name, value, low=1.0),
        ),
        "min_cosine": Limit(help="cosine at perturbed points, or of components", validate=_cosine),
        "balance": Limit(
            check="balance", help="ratio of component norms; off", validate=_off_or_number(1.0)
        ),
        "max_share": Limit(
            check="balance",
            help="share of one component; off",
            validate=lambda name, value: number(name, value, high=1.0, strict=True),
        ),
        "balance_parameters": Limit(
            check="balance",
            help="ratio of parameter RMS gradients; off",
            validate=_off_or_number(1.0),
        ),
        "numeric": Limit(check="numeric", help="finite differences agree; off", validate=_numeric),
        "replicates": Limit(
            check="replicates", help="the gradient under that many seeds; off", validate=_replicates
        ),
        "max_cv": Limit(
            check="replicates",
            help="coefficient of variation of the norm over the replicates; off",
            validate=_positive,
        ),
        "min_snr": Limit(
            check="replicates",
            help="signal-to-noise ratio over the replicates; off",
            validate=_positive,
        ),
        "min_ess": Limit(
            check="replicates",
            help="effective sample size of the weights that the loss reports; off",
            validate=_positive,
        ),
        "max_weight": Limit(
            check="replicates", help="largest absolute weight; off", validate=_positive
        ),
        "drift": Limit(help="the gradient equals its baseline; on", validate=flag),
        "shadow": Limit(help="also judge drift of the gradient in float64; on", validate=flag),
        "min_drift": Limit(
            help="relative distance below which drift is ignored; measured",
            validate=lambda name, value: number(name, value, high=1.0),
        ),
    }
)
