from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_gradcheck.errors import MissingExtraError, UsageError
from pytest_gradcheck.records import CheckResult
from pytest_gradcheck.reporters import Report, ReportEntry, check_suffix, write_report
from tests.measurements import measurement, verdict


def entry(**changes: object) -> ReportEntry:
    """Return the entry of a call that passed, with fields replaced as asked."""
    whole = ReportEntry(
        node_id="tests/test_vae.py::test_vae", name="", outcome="passed", baseline="compared"
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


def test_an_entry_takes_over_what_the_verdict_says() -> None:
    """Name, failed checks, drift and time must come from the verdict."""
    one = ReportEntry.of(
        verdict(name="kl"), node_id="a.py::b", outcome="failed", baseline="withheld", reason="drift"
    )
    assert (one.node_id, one.name, one.outcome) == ("a.py::b", "kl", "failed")
    assert (one.baseline, one.reason) == ("withheld", "drift")
    assert (one.drifted, one.failed, one.seconds) == (True, ("drift",), 0.25)
    assert one.verdict == verdict(name="kl")


@pytest.mark.parametrize(
    ("reason", "drifted"),
    [
        ("drift", True),
        ("structure", True),
        ("point", True),
        ("drift: re-recorded if the test passes", True),
        ("missing", False),
        ("", False),
    ],
)
def test_an_entry_drifted_whatever_the_mode_made_of_it(reason: str, drifted: bool) -> None:  # noqa: FBT001
    """A drift that an update or a warning excused must still be counted as drift."""
    result = CheckResult(check="drift", outcome="skipped", reason=reason)
    one = ReportEntry.of(
        verdict(results=(result,)), node_id="a", outcome="passed", baseline="recorded"
    )
    assert one.drifted is drifted


def test_an_entry_without_a_drift_check_did_not_drift() -> None:
    """A call that was compared with nothing cannot have drifted."""
    one = ReportEntry.of(verdict(results=()), node_id="a", outcome="passed", baseline="off")
    assert (one.drifted, one.failed) == (False, ())


def test_counts_add_up() -> None:
    """Each call must be counted once as checked, and by what became of its baseline."""
    report = Report(
        entries=(
            entry(seconds=1.0),
            entry(drifted=True, failed=("drift",), seconds=0.5),
            entry(baseline="missing", failed=("drift",)),
            entry(baseline="recorded"),
            entry(baseline="withheld", reason="the test failed"),
            entry(baseline="unreadable", failed=("drift", "finite")),
        ),
        unused=("a", "b"),
        pruned=("c",),
    )
    assert report.counts == {
        "checked": 6,
        "failed": 3,
        "drifted": 1,
        "missing": 1,
        "unreadable": 1,
        "recorded": 1,
        "withheld": 1,
        "unused": 2,
        "pruned": 1,
    }
    assert not report.passed
    assert report.seconds == 1.5
    assert [one.reason for one in report.withheld] == ["the test failed"]


def test_a_run_without_calls_passed() -> None:
    """Nothing checked is nothing failed."""
    assert Report().passed
    assert Report().seconds == 0


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".md", ".html", ".pkl"])
def test_known_formats_are_accepted_in_any_case(suffix: str) -> None:
    """The suffix alone must choose the format."""
    assert check_suffix(Path(f"report{suffix}")) == suffix
    assert check_suffix(Path(f"report{suffix.upper()}")) == suffix


@pytest.mark.parametrize("name", ["report", "report.txt", ".json", "report.json.gz"])
def test_an_unknown_format_is_refused_with_the_known_ones(name: str) -> None:
    """Whoever mistypes a suffix must be told which there are."""
    with pytest.raises(UsageError) as caught:
        check_suffix(Path("out") / name)
    assert str(caught.value) == (
        f"{name}: the format of a report is told by its suffix, "
        "one of .json .jsonl .md .html .pkl .codequality.json"
    )


def test_a_page_without_jinja_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who lacks the package of a format must be told before the run what to install."""
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtraError) as caught:
        check_suffix(Path("report.html"))
    assert str(caught.value) == (
        "report.html: a page needs Jinja2, which is not installed; "
        'install it with: pip install "pytest-gradcheck[html]"'
    )


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".md", ".html", ".pkl"])
def test_a_report_is_written_in_the_format_of_its_path(tmp_path: Path, suffix: str) -> None:
    """Every format must be written whole, over what was there, with nothing beside it."""
    path = tmp_path / f"report{suffix}"
    path.write_bytes(b"old")
    one = ReportEntry.of(
        verdict(measurement(shadow=True)),
        node_id="tests/test_vae.py::test_vae",
        outcome="failed",
        baseline="compared",
    )
    write_report(path, Report(entries=(one,)))
    for part in (b"tests/test_vae.py", b"test_vae"):  # which a page shows apart
        assert part in path.read_bytes()
    assert list(tmp_path.iterdir()) == [path]


def test_a_report_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    """A folder that is not there must be said in one line."""
    path = tmp_path / "none" / "report.md"
    with pytest.raises(UsageError) as caught:
        write_report(path, Report())
    assert str(caught.value) == (f"the report {path} cannot be written: No such file or directory")


def test_odd_letters_can_be_written(tmp_path: Path) -> None:
    """A name that is no valid text must not cost the whole report."""
    report = Report(entries=(entry(node_id="test_\ud800"),))
    for suffix in (".json", ".jsonl", ".md", ".html"):
        write_report(tmp_path / f"report{suffix}", report)
        assert rb"ud800" in (tmp_path / f"report{suffix}").read_bytes()
