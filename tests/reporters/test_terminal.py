from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_gradcheck.records import CheckResult, Finding
from pytest_gradcheck.reporters import Report, ReportEntry
from pytest_gradcheck.reporters.terminal import terminal_lines
from tests.measurements import verdict


def entry(node_id: str, **changes: object) -> ReportEntry:
    """Return the entry of a call, compared unless it is changed."""
    fields: dict[str, object] = {"name": "", "outcome": "passed", "baseline": "compared"}
    return ReportEntry(node_id=node_id, **(fields | changes))  # type: ignore[arg-type]


def said(report: Report, **options: int) -> list[str]:
    """Return the text of the section."""
    return [line.text for line in terminal_lines(report, **options)]


def test_a_run_without_gradients_says_nothing() -> None:
    """Whoever does not use the plugin must not see it."""
    assert said(Report(environment={"torch": "2.13.0"})) == []


def test_a_good_run_takes_one_line() -> None:
    """If all is well one line of counts must do."""
    report = Report(entries=(entry("a", seconds=1.0), entry("b", seconds=0.234)))
    assert said(report) == ["2 checked; 1.23 s of gradient work"]


def test_every_list_has_its_title_and_its_reasons() -> None:
    """Whatever the reader may have to act on must be listed, with the reason and the command."""
    report = Report(
        entries=(
            entry("test_a.py::test_drifted", drifted=True, failed=("drift",)),
            entry("test_a.py::test_new", name="kl", baseline="missing", failed=("drift",)),
            entry("test_a.py::test_bad", baseline="unreadable", reason="a.json is truncated"),
            entry("test_a.py::test_red", baseline="withheld", reason="the test failed"),
            entry("test_a.py::test_fine", baseline="recorded", reason="sees drift of 1e-07"),
        ),
        unused=("__gradients__/test_a/test_old.json: test_old",),
        pruned=("__gradients__/test_a/test_older.json",),
        notes=("not pruned: -k was given",),
    )
    assert said(report) == [
        "5 checked, 2 failed, 1 drifted, 1 without a baseline, 1 with an unreadable",
        "  baseline, 1 recorded, 1 withheld, 1 unused, 1 pruned; 0.00 s of gradient work",
        "drifted:",
        "  test_a.py::test_drifted",
        "baseline unreadable:",
        "  test_a.py::test_bad: a.json is truncated",
        "no baseline, record with --grad-baseline-update:",
        "  test_a.py::test_new::kl",
        "recorded:",
        "  test_a.py::test_fine: sees drift of 1e-07",
        "withheld, not recorded:",
        "  test_a.py::test_red: the test failed",
        "unused, delete with --grad-baseline-prune:",
        "  __gradients__/test_a/test_old.json: test_old",
        "pruned:",
        "  __gradients__/test_a/test_older.json",
        "not pruned: -k was given",
    ]


def test_a_call_that_no_update_would_record_is_not_told_to_try() -> None:
    """Where another check fails, or the test is to fail, the command would withhold the entry."""
    report = Report(
        entries=(
            entry("test_new", baseline="missing", failed=("drift",)),
            entry("test_nan", baseline="missing", failed=("finite", "norm", "drift")),
            entry("test_todo", baseline="missing", failed=("drift",), outcome="xfailed"),
        ),
    )
    assert said(report)[1:] == [
        "no baseline, record with --grad-baseline-update:",
        "  test_new",
        "no baseline, and none to be had (drift=False does without one):",
        "  test_nan: finite and norm failed",
        "  test_todo: the test is expected to fail",
    ]


def test_a_file_that_cannot_be_read_is_told_once() -> None:
    """The tests of one module share their file: its fault must not be told for each of them."""
    entries = [entry(f"test_{i}", baseline="unreadable", reason="a.json is cut") for i in (1, 2)]
    assert said(Report(entries=tuple(entries)))[1:] == [
        "baseline unreadable:",
        "  2 calls: a.json is cut",
        "      test_1",
        "      test_2",
    ]


@pytest.mark.parametrize("outcome", ["passed", "failed"])
def test_drift_that_is_tolerated_is_told_by_what_moved(outcome: str) -> None:
    """Also where a filter makes the warning an error: that is no other reason than the drift."""
    moved = Finding(subject="w", text="norm 1 -> 2")
    drift = CheckResult(check="drift", outcome="skipped", reason="tolerated", findings=(moved,))
    tolerated = verdict(results=(drift,))
    report = Report(entries=(entry("a", verdict=tolerated, drifted=True, outcome=outcome),))
    assert said(report)[1:] == ["drifted:", "  a: drift: w: norm 1 -> 2"]


def test_long_lists_are_cut() -> None:
    """A list longer than asked for must say how many items are missing."""
    report = Report(unused=tuple(f"old{i}" for i in range(5)))
    assert said(report, top=2)[1:] == [
        "unused, delete with --grad-baseline-prune:",
        "  old0",
        "  old1",
        "  ... and 3 more",
    ]


def test_a_long_name_stays_in_one_piece_and_in_its_list() -> None:
    """A node id must be there to be copied, however narrow the terminal."""
    name = f"tests/test_a.py::test_{'x' * 100}"
    lines = said(Report(entries=(entry(name, baseline="missing"),)))
    assert lines[-1] == f"  {name}"


@given(
    st.lists(st.text("ab:_ ", min_size=1, max_size=60), max_size=4),
    st.lists(st.text("ab ", max_size=200), max_size=3),
    st.integers(30, 200),
)
def test_no_line_is_longer_than_the_terminal(
    names: list[str], reasons: list[str], width: int
) -> None:
    """Only a single word that is too long may make a line too long."""
    entries = tuple(
        entry(name, baseline="withheld", reason=reason) for name in names for reason in reasons
    )
    for line in said(Report(entries=entries, notes=tuple(reasons)), width=width):
        assert len(line) <= width or " " not in line.strip()


def test_what_drifted_is_named_with_its_cause() -> None:
    """Who reads only the end of a run must find the probable cause there."""
    one = entry("test_a.py::test_vae", drifted=True, failed=("drift",), verdict=verdict())
    assert said(Report(entries=(one,)))[1:] == [
        "drifted:",
        "  test_a.py::test_vae: every gradient scaled by 1.1",
    ]


def test_a_cause_that_many_tests_share_is_said_once() -> None:
    """Tests that drifted for one reason must be one block, however many they are."""
    one = entry("a.py::test", drifted=True, failed=("drift",), verdict=verdict())
    many = [replace(one, node_id=f"a.py::test[{i}]") for i in range(500)]
    other = entry("b.py::test", drifted=True, failed=("drift",))
    assert said(Report(entries=(*many[:400], other, *many[400:])))[1:] == [
        "drifted:",
        "  500 calls: every gradient scaled by 1.1",
        "      a.py::test[0]",
        "      a.py::test[1]",
        "      a.py::test[2]",
        "      and 497 more",
        "  b.py::test",
    ]
    assert said(Report(entries=(other, *many[:4])), top=1)[1:] == [
        "drifted:",
        "  b.py::test",
        "  ... and 4 more",
    ]
    assert said(Report(entries=tuple(many[:4])))[2:] == [
        "  4 calls: every gradient scaled by 1.1",
        *(f"      a.py::test[{i}]" for i in range(4)),
    ]


def test_the_tone_follows_what_is_said() -> None:
    """Failures must have the tone of failures, what was recorded that of success."""
    report = Report(
        entries=(
            entry("a", drifted=True, failed=("drift",)),
            entry("b", baseline="recorded"),
            entry("c", baseline="withheld"),
        )
    )
    assert [(line.tone, line.text) for line in terminal_lines(report)][1:] == [
        ("bad", "drifted:"),
        ("", "  a"),
        ("good", "recorded:"),
        ("", "  b"),
        ("care", "withheld, not recorded:"),
        ("", "  c"),
    ]
    assert terminal_lines(report)[0].tone == "bad"
    assert terminal_lines(Report(entries=(entry("b"),)))[0].tone == "good"


def test_a_warning_is_said_once_however_many_tests_give_it() -> None:
    """The same warning of several tests must be one line that counts them."""
    text = "[others] depends on parameters, yet its gradient is exactly zero"
    entries = (
        entry("a.py::test_1", warnings=(text,)),
        entry("a.py::test_1", name="again", warnings=(text,)),
        entry("a.py::test_2", warnings=(text, "[kl] drowns the others")),
    )
    assert said(Report(entries=entries), width=120)[1:] == [
        "warnings:",
        f"  a.py::test_1 and 1 more: {text}",
        "  a.py::test_2: [kl] drowns the others",
    ]
