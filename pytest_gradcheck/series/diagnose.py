"""Say what kind of change made a training run drift, from where each metric first left its own.

What a loop sets itself is looked at before what follows from it, and a step before those that
come after it.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pytest_gradcheck.records import Finding

__all__ = ["diagnose_series"]

_STEP = re.compile(r"step (?P<step>\d+): (?P<was>\S+) -> (?P<now>\S+),")
_EQUAL = 1e-4  # two factors that are one, relative; what findings show has six digits


def diagnose_series(found: Sequence[Finding], keys: Mapping[str, str]) -> Iterator[str]:
    """Yield what kind of change it probably is.

    Args:
        found: how metrics drifted, each at the first step that shows it.
        keys: what the metrics mean, by their names.
    """
    moved = {keys[finding.subject] for finding in found}
    seen = [(keys[f.subject], at) for f in found if (at := _STEP.match(f.text))]
    steps: dict[str, int] = {}
    for key, at in seen:
        steps[key] = min(int(at["step"]), steps.get(key, int(at["step"])))
    first = {key for key, step in steps.items() if step == 0}
    if first & {"loss", "norm"} or any(key.startswith(("component.", "input")) for key in first):
        factor = _factor(seen)
        if factor:
            yield f"loss and gradient are x{factor:.4g} from the first step on: {_weight(factor)}?"
        else:
            yield "the run differs from its first step on: model, loss, data or a seed changed"
    elif any(key.partition(".")[0] == "lr" for key in moved):
        yield "the learning rate is not what it was; what follows from it moved with it"
    elif "clip_threshold" in moved:
        yield "gradients are clipped at another norm; what follows from it moved with it"
    elif "update_ratio" in first:
        yield "the first gradient is the same, the step made of it is not: the optimizer changed"
    elif steps.get("norm") == 1 and steps.get("loss", math.inf) > 1:
        yield (
            "the second step starts from the same weights and the same loss, and its gradient is "
            "another: is zero_grad() gone, or did the backward pass change?"
        )
    elif not steps:
        yield "the first steps agree and the run parts later: the optimizer, a schedule or an order"


def _weight(factor: float) -> str:
    """Return what a factor on the loss usually is."""
    whole, became = (factor, "a sum in place of a mean")
    if factor < 1:
        whole, became = (1 / factor, "a mean in place of a sum")
    many = round(whole) > 1 and math.isclose(whole, round(whole), rel_tol=_EQUAL)
    return f"a weight, or {became}" if many else "a weight"


def _factor(seen: Iterable[tuple[str, re.Match[str]]]) -> float:
    """Return the factor on loss and norm of the first step, 0 where they do not share one."""
    factors = {
        key: float(at["now"]) / float(at["was"])
        for key, at in seen
        if at["step"] == "0" and key in {"loss", "norm"} and float(at["was"])
    }
    loss, norm = factors.get("loss", 0.0), factors.get("norm", 0.0)
    return norm if loss and math.isclose(loss, norm, rel_tol=_EQUAL) else 0.0
