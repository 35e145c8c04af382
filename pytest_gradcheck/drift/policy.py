"""Say so where two gradients were computed under other rules for float32.

Requirements:
    A rule is judged as it was stored, whether or not this machine computes differently for it.
    The type of activations is no rule but a trace, which compilation hides: it explains drift and
    makes none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_gradcheck.records import Finding

if TYPE_CHECKING:
    from pytest_gradcheck.records import Measurement, Scalar

__all__ = ["REMEDY", "activation_finding", "policy_findings"]

REMEDY = (
    "set the precision as it was, in a fixture that puts it back "
    "(torch.set_float32_matmul_precision, torch.backends, torch.autocast); or keep a baseline for "
    "each with --grad-variant; or accept the new one with --grad-baseline-update"
)

_TRACE = "activations"
_WORDS = {
    None: "as torch comes",
    "ieee": "in full precision",
    "tf32": "in TF32",
    "bf16": "in bfloat16",
}


def policy_findings(measurement: Measurement, baseline: Measurement) -> list[Finding]:
    """Return one finding for each rule that differs; empty when numbers can be compared."""
    now, was = measurement.policy, baseline.policy
    names = [name for name in dict.fromkeys([*was, *now]) if name != _TRACE]
    return [
        Finding(
            subject=name,
            text=f"float32 is computed {_word(now.get(name))}, it was {_word(was.get(name))}",
        )
        for name in names
        if was.get(name) != now.get(name)
    ]


def activation_finding(measurement: Measurement, baseline: Measurement) -> Finding | None:
    """Return how the type of what the forward pass made differs, if it does."""
    now, was = measurement.policy.get(_TRACE), baseline.policy.get(_TRACE)
    if now == was:
        return None
    own = "that of the parameters"
    text = f"their type is {now or own}, it was {was or own}: autocast, or a cast in the model?"
    return Finding(subject=_TRACE, text=text)


def _word(rule: Scalar) -> str:
    """Return a rule as a reader knows it."""
    return _WORDS.get(str(rule) if rule is not None else None, str(rule))
