"""Gradients that were computed under other rules for float32 are not compared."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pytest_gradcheck.checks.drift import compare, recordable, refreshed
from pytest_gradcheck.drift.policy import REMEDY, policy_findings
from tests.gradients import noise
from tests.objectives import given

if TYPE_CHECKING:
    from pytest_gradcheck.records import Measurement

GRADS = {"w": noise(3, 4, seed=1), "b": noise(4, seed=2)}


def under(**policy: str) -> Measurement:
    """Return a measurement under a policy."""
    return replace(given(GRADS), policy=policy)


@pytest.mark.parametrize(
    ("now", "was", "said"),
    [
        ({"matmul": "bf16"}, {}, "float32 is computed in bfloat16, it was as torch comes"),
        ({}, {"matmul": "tf32"}, "float32 is computed as torch comes, it was in TF32"),
        (
            {"matmul": "ieee"},
            {"matmul": "other"},
            "float32 is computed in full precision, it was other",
        ),
    ],
)
def test_another_rule_is_not_comparable(
    now: dict[str, str], was: dict[str, str], said: str
) -> None:
    """The rule alone must be what is compared: the numbers here are the same."""
    result = compare(under(**now), recordable(under(**was)))
    assert (result.outcome, result.reason, result.hints) == ("failed", "policy", (REMEDY,))
    assert [(f.subject, f.text) for f in result.findings] == [("matmul", said)]


def test_the_same_rules_are_compared() -> None:
    """Equal policies must lead to the numbers."""
    result = compare(under(matmul="bf16"), recordable(under(matmul="bf16")))
    assert result.outcome == "passed"


def test_what_activations_are_made_in_fails_nothing_by_itself() -> None:
    """A trace that compilation hides must not fail gradients that are equal."""
    now, was = under(activations="bfloat16"), under()
    assert policy_findings(now, was) == []
    assert compare(now, recordable(was)).outcome == "passed"


def test_what_activations_are_made_in_explains_drift_of_the_native_gradient() -> None:
    """Where nothing else can be told apart, another type of activations must be the reason."""
    now = given({k: g * 1.01 for k, g in GRADS.items()})
    result = compare(replace(now, policy={"activations": "bfloat16"}), recordable(under()))
    assert (result.outcome, result.reason) == ("failed", "policy")
    assert [f.text for f in result.findings] == [
        "their type is bfloat16, it was that of the parameters: autocast, or a cast in the model?"
    ]


def test_drift_in_float64_is_drift_whatever_activations_are_made_in() -> None:
    """What float64 shows must not be put down to the precision."""
    now, was = given({k: g * 1.01 for k, g in GRADS.items()}), given(GRADS)
    now = replace(now, shadow=now.native, policy={"activations": "bfloat16"})
    allowed = recordable(was).allowances
    was = replace(was, shadow=was.native, allowances=allowed, shadow_allowances=allowed)
    result = compare(now, was)
    assert (result.outcome, result.reason) == ("failed", "drift")


def test_an_entry_under_another_policy_is_recorded_whole() -> None:
    """No number of the old policy may stay beside those of the new one."""
    new, old = recordable(under(matmul="bf16")), recordable(under())
    assert refreshed(new, old) == new
