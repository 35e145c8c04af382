"""The story of a verdict: exactly these lines, and nothing that does not belong there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pytest_gradcheck.api import check_gradients
from pytest_gradcheck.checks.drift import compare, recordable
from pytest_gradcheck.explain import MAX_LINES, explain, finding_lines
from pytest_gradcheck.judge import judge, with_drift
from pytest_gradcheck.limits import parse
from pytest_gradcheck.records import CheckResult, Finding, Measurement, Verdict
from pytest_gradcheck.tabling import Change, change_lines
from tests.objectives import given

HINT = (
    "  hint: if the change is intended, run again with --grad-baseline-update and review the diff"
)
AT = "  at: loss 1, norm 5, seed 0, float64 on cpu"
W = {"w": [3.0, 0.0], "b": [0.0, 4.0]}


def measured(grads: Any = None, **options: Any) -> Measurement:
    """Return a measurement of two parameters, its packages always the same."""
    found = given(W if grads is None else grads, **options)
    return replace(found, objective="mlp", packages={"numpy": "2.0"})


def drifted(now: Measurement, was: Measurement | None = None) -> Verdict:
    """Return the verdict of a measurement against a baseline."""
    baseline = recordable(was or measured())
    return with_drift(judge(now, parse()), compare(now, baseline), baseline)


def failed(*findings: Finding, hints: tuple[str, ...] = (), **options: Any) -> CheckResult:
    """Return a failed check."""
    return CheckResult(check="norm", outcome="failed", findings=findings, hints=hints, **options)


def test_a_verdict_that_passed_is_one_line() -> None:
    """Nothing failed must be told in a line, without numbers."""
    assert explain(judge(measured(), parse())) == ["gradients of 'mlp' (arrays): 3 checks passed"]


def test_the_call_is_named_where_it_has_a_name() -> None:
    """Of several calls in a test the reader must know which."""
    (line,) = explain(judge(measured(), parse(), name="second"))
    assert line == "gradients of 'mlp' (arrays) in 'second': 3 checks passed"


def test_a_bound_that_is_left_is_told_in_three_lines() -> None:
    """What failed, by how much against which bound, and how to see it again."""
    limits = parse(("the call", {"max_norm": 4.0}))
    assert explain(judge(measured(), limits)) == [
        "gradients of 'mlp' (arrays): 1 of 4 checks failed",
        "  norm [total]  norm 5, max_norm 4",
        AT,
    ]


def test_the_hint_to_record_gives_way_to_a_check_that_forbids_it() -> None:
    """While another check fails nothing is recorded, and no reader must be told to try."""
    limits = parse(("the call", {"max_norm": 4.0, "max_abs": 3.5}))
    now, baseline = measured({**W, "b": [0.0, -4.0]}), recordable(measured())
    verdict = with_drift(judge(now, limits), compare(now, baseline), baseline)
    told = "  hint: no baseline is recorded while norm fails: see to that first"
    assert explain(verdict)[-1] == told
    broken = replace(failed(Finding(subject="a", text="b")), check="finite")
    results = [broken, *verdict.results[1:]]
    told = "  hint: no baseline is recorded while finite and norm fail: see to that first"
    assert explain(replace(verdict, results=tuple(results)))[-1] == told


def test_points_with_one_fault_are_told_once_and_counted() -> None:
    """Twenty draws of a prior that all fail alike must leave room for what else there is."""
    points = [Finding(subject=f"prior draw #{i}", text="logp is -inf") for i in range(20)]
    points[7:7] = [Finding(subject="prior draw #x", text="logp is nan")]
    broken = replace(failed(*points), check="perturb")
    verdict = replace(judge(measured(), parse()), results=(broken,))
    draws = [line for line in explain(verdict) if "logp is" in line]
    assert len(draws) == 4 + 1 + 4
    assert "  ... and 3 more points like these; -v shows all of them" in explain(verdict)
    assert "  ... and 9 more points like these; -v shows all of them" in explain(verdict)
    assert sum("logp is" in line for line in explain(verdict, verbose=True)) == 21


def test_a_flipped_sign_is_told_with_its_cause() -> None:
    """Drift must show norms, distance, allowance, cosine, cause, environment and what to do."""
    verdict = drifted(measured({**W, "b": [0.0, -4.0]}))
    assert explain(verdict) == [
        "gradients of 'mlp' (arrays): 1 of 4 checks failed",
        "  drift       baseline -> now  distance  allowed  cosine",
        "    b                4 -> 4           2    1e-07      -1",
        "  cause: b: sign flipped",
        (
            "  cause: the loss is unchanged: look at the backward pass of b alone "
            "(detach, hooks, custom"
        ),
        "    functions)",
        "  same packages as the baseline: numpy 2.0",
        AT,
        HINT,
    ]


def test_the_first_of_several_parameters_is_marked() -> None:
    """Where the change began, seen from the loss, must catch the eye; subjects are aligned."""
    now = measured({"layer.weight": [6.0, 0.0], "b": [0.0, -4.0]})
    was = measured({"layer.weight": [3.0, 0.0], "b": [0.0, 4.0]})
    lines = explain(drifted(now, was))
    assert lines[1:5] == [
        "  drift, > is the first in backward order",
        "                  baseline -> now  distance  allowed  cosine",
        "  > b                    4 -> 4           2    1e-07      -1",
        "    layer.weight         3 -> 6           1    1e-07       1",
    ]


def test_numbers_beside_the_parameters_have_no_order() -> None:
    """A loss and its components must not be called first in backward order."""
    terms = {"a": (1.0, W), "b": (1.0, W)}
    moved = {"a": (2.0, W), "b": (1.0, W)}
    lines = explain(drifted(measured(terms=moved), measured(terms=terms)))
    assert lines[1:4] == [
        "  drift                baseline -> now  distance  allowed",
        "    loss                      2 -> 3         0.5    1e-07",
        "    component a value         1 -> 2           1    2e-07",
    ]
    assert "backward order" not in "\n".join(lines)


def test_another_structure_is_its_own_headline() -> None:
    """What cannot be compared must not be counted as one check of many, nor as drift."""
    lines = explain(drifted(measured({**W, "new": [1.0]}), measured()))
    assert lines[:2] == [
        "gradients of 'mlp' (arrays): cannot be compared with its baseline: the structure changed",
        "  structure [new]  parameter added (shape [1])",
    ]
    assert "drift" not in "\n".join(lines)


def test_a_start_that_moved_is_its_own_headline() -> None:
    """The starting point must be blamed, and the gradient not be mentioned."""
    now = measured({**W, "b": [0.0, -4.0]}, point={"w": [1.0, 2.0]})
    lines = explain(drifted(now))
    assert lines[:2] == [
        (
            "gradients of 'mlp' (arrays): cannot be compared with its baseline: "
            "the starting point moved"
        ),
        (
            "  point [w]  the value at the start moved: norm 1.41421 -> 2.23607, "
            "relative distance 0.707"
        ),
    ]
    assert not [line for line in lines if "drift" in line or "cosine" in line]


def test_several_failures_are_counted() -> None:
    """With more than one check failing the headline must count, whatever the reasons."""
    verdict = drifted(measured({**W, "new": [1.0]}))
    limits = parse(("the call", {"max_norm": 1.0}))
    both = replace(verdict, results=(*judge(measured(), limits).results, verdict.results[-1]))
    assert explain(both)[0] == "gradients of 'mlp' (arrays): 2 of 5 checks failed"


def test_packages_that_changed_are_told() -> None:
    """A drift after an upgrade must name both versions, and what did not change stay away."""
    was = replace(measured(), packages={"numpy": "1.0", "torch": "2.9", "gone": "1"})
    now = replace(measured({**W, "b": [0.0, 1.0]}), packages={"numpy": "2.0", "torch": "2.9"})
    text = "\n".join(explain(drifted(now, was)))
    assert "  since the baseline: numpy 1.0 -> 2.0\n" in text
    assert "torch" not in text


def test_facts_that_changed_are_told() -> None:
    """Another batch size must be shown beside the drift that it causes."""
    was = replace(measured(), facts={"data": "float32 (6)", "same": 1})
    now = replace(measured({**W, "b": [0.0, 1.0]}), facts={"data": "float32 (24)", "same": 1})
    assert "  since the baseline: data float32 (6) -> float32 (24)" in explain(drifted(now, was))


def test_an_unknown_environment_is_not_mentioned() -> None:
    """A baseline that keeps no packages must not be said to have the same ones."""
    was = replace(measured(), packages={})
    assert "baseline:" not in "\n".join(explain(drifted(measured({**W, "b": [0.0, 1.0]}), was)))


def test_the_environment_matters_to_drift_alone() -> None:
    """Where only another check failed, the baseline's packages must stay away."""
    verdict = drifted(measured())
    limits = parse(("the call", {"max_norm": 1.0}))
    both = replace(judge(measured(), limits), baseline=verdict.baseline)
    both = replace(both, results=(*both.results, verdict.results[-1]))
    assert "packages" not in "\n".join(explain(both))


def test_there_is_one_hint_for_the_whole_message() -> None:
    """Of several hints the first must be given, and no other."""
    first = failed(Finding(subject="a", text="b"), hints=("do this", "or that"))
    second = failed(Finding(subject="a", text="b"), hints=("or those",))
    lines = explain(replace(judge(measured(), parse()), results=(first, second)))
    assert [line for line in lines if "hint" in line] == ["  hint: do this"]


def test_notes_of_the_measurement_are_told() -> None:
    """What the reader should know about how it was measured must not be lost."""
    limits = parse(("the call", {"max_norm": 1.0}))
    now = replace(measured(), notes=("no float64 here", "a kink"))
    assert explain(judge(now, limits))[-2:] == ["  note: no float64 here", "  note: a kink"]


def test_mixed_types_are_all_told() -> None:
    """The line to see it again must name each dtype once."""
    now = given({"a": np.ones(1, np.float32), "b": np.ones(1), "c": np.ones(1)})
    lines = explain(judge(now, parse(("the call", {"max_norm": 0.1}))))
    assert lines[-1].endswith("seed 0, float32, float64 on cpu")


@pytest.mark.parametrize("count", [1, 34, 35, 36, 37, 38, 39, 40, 500])
def test_a_message_has_at_most_forty_lines(count: int) -> None:
    """Of many findings the first must be shown and the rest counted, none lost in verbose mode."""
    findings = tuple(Finding(subject=f"p{i}", text="too large") for i in range(count))
    verdict = replace(judge(measured(), parse()), results=(failed(*findings, hints=("do",)),))
    lines = explain(verdict)
    assert len(lines) <= MAX_LINES
    assert lines[-1] == "  hint: do"
    shown = sum("too large" in line for line in lines)
    rest = [line for line in lines if "more" in line]
    assert rest == (
        [f"  ... and {count - shown} more; -v shows all of them"] if count > shown else []
    )
    assert sum("too large" in line for line in explain(verdict, verbose=True)) == count


def test_a_drift_of_many_parameters_stays_within_forty_lines() -> None:
    """However many parameters drifted, each in its own way, causes must not flood the message."""
    grads = {f"p{i}": [1.0 + i, 2.0] for i in range(100)}
    now = {k: [(1.5 + i / 7) * x for x in g] for i, (k, g) in enumerate(grads.items())}
    lines = explain(drifted(measured(now), measured(grads)))
    assert len(lines) == MAX_LINES
    assert sum(line.startswith("  cause:") for line in lines) <= 5
    assert lines[-1] == HINT


def test_a_long_name_does_not_push_the_numbers_away() -> None:
    """Subjects must be aligned up to a width that leaves room for the text."""
    result = failed(Finding(subject="x" * 60, text="far"), Finding(subject="y", text="near"))
    long, short = finding_lines(result, ())
    assert long == f"  norm [{'x' * 60}]  far"
    assert short == f"  {'norm [y]':<48}  near"


def test_the_message_of_a_nan_says_where_it_is() -> None:
    """The whole way from a function to the message of a NaN must be exactly this."""
    verdict = check_gradients(
        {"w": np.array([1.0, 0.0])},
        value_and_grad=lambda p: (1.0, {"w": np.array([np.nan, 1.0])}),
        perturb=False,
        name="roots",
    )
    assert explain(verdict)[:2] == [
        "gradients of 'roots' (arrays): 1 of 2 checks failed",
        "  finite [w]  1 / 2 NaN at [0]",
    ]
    assert explain(verdict)[-2].startswith("  hint: a finite value with a non-finite gradient")


def test_every_line_fits_a_narrow_terminal() -> None:
    """At 80 columns no line may be longer, and names must keep both of their ends."""
    layers = ("encoder.layers.11.attention.projection.weight", "decoder.out")
    grads = {name: [3.0, 4.0] for name in layers}
    now = measured({name: [1.234567e-8, -4.0] for name in layers})
    lines = explain(drifted(now, measured(grads)), width=76)
    assert max(map(len, lines)) <= 76
    row = next(line for line in lines if line.startswith("    encoder"))
    assert row.split()[0].endswith(".weight")
    assert ".11." in row.split()[0]


def test_verbose_keeps_names_whole() -> None:
    """Whoever asks for more must get each name at its full length."""
    name = "encoder.layers.11.attention.projection.weight"
    verdict = drifted(measured({name: [1.0]}), measured({name: [2.0]}))
    lines = explain(verdict, verbose=True, width=76)
    assert any(line.startswith(f"    {name} ") for line in lines)


def test_a_command_is_never_broken() -> None:
    """A command must stand on one line, to be copied."""
    hint = f"record it with: pytest tests/{'x' * 90}.py::test --grad-baseline-update"
    verdict = replace(
        judge(measured(), parse()), results=(failed(Finding(subject="a", text="b"), hints=(hint,)),)
    )
    assert explain(verdict, width=76)[-1] == f"  hint: {hint}"


def test_many_notes_leave_room_for_the_findings() -> None:
    """However much there is to say beside the findings, some of them must be shown."""
    findings = tuple(Finding(subject=f"p{i}", text="too large") for i in range(60))
    now = replace(measured(), notes=tuple(f"note {i}" for i in range(60)))
    lines = explain(replace(judge(now, parse()), results=(failed(*findings),)))
    assert len(lines) == MAX_LINES
    assert sum("too large" in line for line in lines) == 7
    assert sum("-v shows all" in line for line in lines) == 2


def test_the_numbers_of_a_component_stand_under_its_name() -> None:
    """A component of which several numbers moved must be named once, and whole."""
    name = "reconstruction of the inputs"
    twice = {"w": [6.0, 0.0], "b": [0.0, 8.0]}
    now, was = measured(terms={name: (2.0, twice)}), measured(terms={name: (1.0, W)})
    lines = explain(drifted(now, was), width=60)
    start = lines.index(f"    component {name}")
    assert [line.split()[:4] for line in lines[start + 1 : start + 3]] == [
        ["value", "1", "->", "2"],
        ["norm", "5", "->", "10"],
    ]


def test_a_component_is_never_shortened_beside_its_one_number() -> None:
    """A long name of a component must stand above the one number that moved, and whole."""
    name = "temporal_difference"
    now, was = measured(terms={name: (2.0, W)}), measured(terms={name: (1.0, W)})
    lines = explain(drifted(now, was), width=72)
    start = lines.index(f"    component {name}")
    assert lines[start + 1].split()[:4] == ["value", "1", "->", "2"]


def test_names_need_no_shortening_at_eighty_columns() -> None:
    """Headings must give way before a name of two dozen letters does."""
    name = "heads.log_variance.weights"
    lines = explain(drifted(measured({name: [6.0, 1.0]}), measured({name: [3.0, 1.0]})), width=72)
    assert any(line.startswith(f"    {name}  3.162 -> 6.083") for line in lines)
    assert max(map(len, lines)) <= 72


def test_a_remark_that_does_not_fit_has_its_own_line() -> None:
    """What is said behind the numbers must not make a line too long."""
    one = Change(name="weight", was="1", now="2", others=("1",), remark="(in float32 only)")
    heads = ("baseline", "now", "distance")
    assert list(change_lines("drift", heads, [one], width=40))[1:] == [
        "    weight           1 -> 2           1",
        "      (in float32 only)",
    ]
    assert next(iter(change_lines("a title that is long", heads, [one], width=40))) == (
        "  a title that is long"
    )
