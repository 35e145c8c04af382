"""Health rules: each catches one kind of unhealthy run, and leaves healthy ones alone."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pytest_gradcheck import RULES, Rule, UsageError
from pytest_gradcheck.limits import parse
from pytest_gradcheck.series import judge_series
from pytest_gradcheck.series.explain import explain_series
from pytest_gradcheck.series.limits import series_limits
from pytest_gradcheck.series.rules import STEPS as NEXT
from tests.runs import STEPS, falling, metric, run

if TYPE_CHECKING:
    from pytest_gradcheck.records import Metric, Series

RISING = tuple(reversed(falling()))

LIARS: dict[str, tuple[Metric, ...]] = {
    "finite": (metric("norm.encoder.bias", *falling(0.5)[:-1], math.nan, group="parameter"),),
    "inputs": (
        metric("input.max", *(2775.0,) * STEPS, group="scale"),
        metric("input.max_abs", *(2775.0,) * STEPS, group="scale"),
    ),
    "clip_ratio": (metric("clipped", *(1.0, 1.0, 0.0) * 6, 1.0, 1.0),),
    "loss": (metric("loss", *RISING),),
    "updates": (metric("update_ratio", *(2.0,) * STEPS),),
    "skipped": (metric("skipped", *(1.0, 1.0, 0.0) * 6, 1.0, 1.0),),
}

LIMITS: dict[str, dict[str, Any]] = {
    "max_norm": {"max_norm": 1.99},
    "min_norm": {"min_norm": 1.0},
    "norm.encoder.* max_norm": {"per_parameter": {"encoder.*": {"max_norm": 1.0}}},
    "norm.encoder.* min_norm": {"per_parameter": {"encoder.*": {"min_norm": 0.3}}},
    "max_share": {"max_share": 0.7},
}

# What a rule observes, the values that are healthy, and those that are not.
KINDS: dict[str, tuple[dict[str, Any], tuple[float, ...], tuple[float, ...]]] = {
    "last": ({"healthy": (0, 1)}, (5, 5, 5, 1), (0, 0, 0, 2)),
    "min": ({"healthy": (1, 9)}, (1, 2, 3), (9, 0.5, 9)),
    "max": ({"healthy": (0, 2)}, (2, 1, 0), (0, 3, 0)),
    "mean": ({"healthy": (1, 2)}, (0, 3), (0, 1)),
    "tail": ({"healthy": (0, 1), "last": 2}, (9, 9, 1, 1), (0, 0, 1, 2)),
    "trend": ({"healthy": (-math.inf, -1)}, falling(), RISING),
    "spread": ({"healthy": (0, 0.05)}, (1, 1.01, 1, 1.01, 1), (1, 2, 1, 2, 1)),
    "nonfinite": ({"healthy": (0, 1)}, (1, math.nan), (math.inf, math.nan)),
    "ratio": ({"healthy": (0.9, 1.1), "against": "other"}, (1, -1), (10, -10)),
    "share": ({"healthy": (0, 0.75)}, (3, -3), (30, 30)),
}


@pytest.mark.parametrize("factor", [2.0, 10.0, 1e3])
def test_a_loss_that_explodes_rises(factor: float) -> None:
    """Growth by orders of magnitude is no line, and must not be said to go nowhere."""
    up = metric("loss", *(0.26 * factor**i for i in range(STEPS)))
    result = judge_series(run(up), RULES).result("loss")
    assert result is not None
    assert result.outcome == "failed"
    assert result.findings[0].text.startswith("rises: 0.26 -> ")
    down = metric("loss", *(0.26 * factor**-i for i in range(STEPS)))
    result = judge_series(run(down), RULES).result("loss")
    assert result is not None
    assert (result.outcome, result.findings) == ("passed", ())


def test_a_loss_that_jumps_about_goes_nowhere() -> None:
    """Values far apart without an order must not be called a growth."""
    apart = metric("loss", *(10.0 ** (3 * (i % 2)) for i in range(STEPS)))
    result = judge_series(run(apart), RULES).result("loss")
    assert result is not None
    assert result.outcome == "passed"
    assert result.findings[0].text.startswith("neither rises nor falls: 1 -> 1000")


def failed(series: Series, rules: tuple[Rule, ...]) -> set[str]:
    """Return the rules that a run fails."""
    return {result.check for result in judge_series(series, rules).failures}


def rules_of(limits: dict[str, Any]) -> tuple[Rule, ...]:
    """Return the rules in force under some limits."""
    return series_limits(parse(("the call", limits))).rules


def test_a_healthy_run_passes_every_rule() -> None:
    """Nothing must fail, and nothing be remarked, where nothing is wrong."""
    verdict = judge_series(run(), RULES)
    assert verdict.passed
    assert {result.outcome for result in verdict.results} == {"passed"}
    assert not any(result.findings for result in verdict.results)
    assert not verdict.next_steps


@pytest.mark.parametrize("name", LIARS)
def test_each_rule_alone_catches_its_run(name: str) -> None:
    """Every rule must catch the run that is wrong in its way, and no other rule must."""
    assert failed(run(*LIARS[name]), RULES) == {name}


def test_each_rule_has_a_run_that_it_catches() -> None:
    """A rule that nothing shows to work must not be given out."""
    assert set(LIARS) == {rule.name for rule in RULES}


@pytest.mark.parametrize("name", LIMITS)
def test_each_limit_becomes_a_rule_of_its_own(name: str) -> None:
    """A limit that the healthy run breaks must fail, alone, and one it keeps must hold."""
    assert failed(run(), rules_of(LIMITS[name])) == {name}
    wide = {"max_norm": 2.1, "min_norm": 0.1, "max_share": 0.9}
    assert not failed(run(), rules_of(wide | {"per_parameter": {"*": {"max_norm": 2.0}}}))


@pytest.mark.parametrize("kind", KINDS)
def test_everything_that_a_rule_can_observe(kind: str) -> None:
    """Each kind of observation must hold for one way a metric goes and fail for another."""
    options, good, bad = KINDS[kind]
    rule = Rule(metric="x*", observe=kind, **options)  # type: ignore[arg-type] # a known kind
    other = metric("other", *(1.0,) * 2)
    beside = (metric("xx", 1.0, 1.0),) if kind == "share" else ()
    assert not failed(run(metric("x", *good), other, *beside), (rule,))
    assert failed(run(metric("x", *bad), other, *beside), (rule,)) == {"x*"}


def test_between_healthy_and_bad_is_only_remarked() -> None:
    """What is neither must pass, and say what was seen."""
    verdict = judge_series(run(metric("clipped", *(1.0, 0.0, 0.0) * 6, 0.0, 0.0)), RULES)
    result = verdict.result("clip_ratio")
    assert verdict.passed
    assert result is not None
    assert result.reason == "not healthy, not bad"
    assert result.findings[0].text == (
        "mean 0.3 over steps 0 to 19; healthy 0 to 0.2, too high from 0.5"
    )


def test_a_rule_may_begin_late() -> None:
    """The norm must be free to be large before the step from which it is bounded."""
    bound = Rule(metric="norm", observe="max", healthy=(0, 1.0), start=10)
    assert not failed(run(), (bound,))
    assert failed(run(), (replace(bound, start=2),)) == {"norm"}


def test_a_metric_that_is_not_there_fails_and_lists_what_is() -> None:
    """A mistyped metric must not pass for a healthy one."""
    verdict = judge_series(run(), (Rule(metric="los", healthy=(0, 1), next_step="clipping"),))
    assert verdict.failures[0].findings[0].text == (
        "no metric matches 'los'; there are "
        + ", ".join(m.name for m in run().metrics if m.group != "parameter")
        + ", and norm.<parameter>"
    )
    assert not verdict.next_steps
    late = Rule(metric="loss", healthy=(0, 1), start=STEPS)
    assert "no value from step 20 on" in judge_series(run(), (late,)).failures[0].findings[0].text


def test_next_steps_are_in_the_order_of_their_impact() -> None:
    """The user's own advice must come first, then the known steps, each once."""
    own = Rule(metric="lr", healthy=(0, 1e-6), next_step=("learning rate", "ask the optimist"))
    verdict = judge_series(run(*LIARS["inputs"], *LIARS["clip_ratio"]), (*RULES, own))
    heads = [step.partition(":")[0] for step in verdict.next_steps]
    assert heads == [
        "ask the optimist",
        *("input scale", "loss reduction", "clipping", "learning rate"),
    ]
    known = list(NEXT)
    assert [known.index(head) for head in heads[1:]] == sorted(known.index(h) for h in heads[1:])


def test_inputs_that_were_seen_to_be_sound_are_not_blamed() -> None:
    """A standardised input must not be the first thing to try."""
    sound = judge_series(run(*LIARS["clip_ratio"]), RULES)
    assert not any(step.startswith("input scale") for step in sound.next_steps)


@pytest.mark.parametrize("layers", [0, 2])
def test_batch_size_is_tried_where_it_is_normalised_over(layers: int) -> None:
    """Larger batches must be advised with the size seen, and only to batch normalisation."""
    facts = {"batch": 6} | ({"batch_norm": layers} if layers else {})
    verdict = judge_series(run(*LIARS["clip_ratio"], facts=facts), RULES)
    steps = [step for step in verdict.next_steps if step.startswith("batch size")]
    assert len(steps) == bool(layers)
    assert all(step.endswith("(batches of 6 were seen)") for step in steps)


def test_the_story_of_a_failure() -> None:
    """It must say which run, which rule, what was seen, what is healthy, and what to try."""
    verdict = judge_series(run(*LIARS["inputs"]), RULES, name="warm-up")
    seen = "values from -2 to 2775, mean 0.1, standard deviation 1"
    assert explain_series(verdict, width=200) == [
        "training of 'Net' (torch), 20 steps in 'warm-up': 1 of 6 rules failed",
        f"  inputs [input.max_abs]  {seen}; healthy 0 to 20, too high from 100",
        f"  next step 1: input scale: {NEXT['input scale']}",
        "  at the end: loss 4 -> 0.5503, norm 2 -> 0.2802, clipped 5 % of steps; 20 steps on cpu",
    ]
    assert explain_series(judge_series(run(), RULES)) == [
        "training of 'Net' (torch), 20 steps: 6 rules hold"
    ]


def test_a_rule_of_the_call_takes_the_place_of_one_of_its_name() -> None:
    """Own rules must replace, ``without`` must drop, and the order must stay."""
    own = Rule(name="loss", metric="loss", observe="last", healthy=(0, 1))
    held = series_limits(parse(("the call", {})), own, without=("inputs",))
    assert [rule.name for rule in held.rules] == [r.name for r in RULES if r.name != "inputs"]
    assert own in held.rules
    assert held.text()["loss"] == "last of loss: healthy 0 to 1"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"metric": ""}, "needs the name of a metric"),
        ({"observe": "median"}, "cannot observe 'median'; known: last, min"),
        ({"healthy": (1, 0)}, r"healthy is \(lowest, highest\), not \(1, 0\)"),
        ({"healthy": 3}, "use math.inf for no bound"),
        ({"bad": (0.5, 2)}, "overlap"),
        ({"against": "loss"}, "belong together"),
        ({"observe": "ratio"}, "belong together"),
        ({"start": -1}, "start of a rule"),
        ({"last": 0.5}, "last of a rule"),
    ],
)
def test_a_rule_that_cannot_be_judged_is_refused(arguments: dict[str, Any], message: str) -> None:
    """A wrong rule must be refused where it is made, with what is allowed."""
    with pytest.raises(UsageError, match=message):
        Rule(**{"metric": "norm", "healthy": (0, 1)} | arguments)


def test_two_rules_of_one_name_are_refused() -> None:
    """One of them would never be seen."""
    two = (Rule(metric="norm", healthy=(0, 1)), Rule(metric="norm", healthy=(0, 2)))
    with pytest.raises(UsageError, match="two rules are called 'norm'"):
        series_limits(parse(("the call", {})), two)
