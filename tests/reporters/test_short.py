"""The short reports: the job summary, the code-quality file, and reading JSON reports back."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from pytest_gradcheck.errors import UsageError
from pytest_gradcheck.records import CheckResult, Finding
from pytest_gradcheck.reporters import Report, ReportEntry
from pytest_gradcheck.reporters.as_json import json_text
from pytest_gradcheck.reporters.codequality import codequality_text
from pytest_gradcheck.reporters.document import parse_report
from pytest_gradcheck.reporters.offer import Coverage, Offer
from pytest_gradcheck.reporters.summary import summary_text
from tests.measurements import measurement, verdict


def entry(name: str, **changes: object) -> ReportEntry:
    """Return the entry of a call that drifted."""
    one = ReportEntry.of(
        verdict(name=name), node_id="tests/test_vae.py::test", outcome="failed", baseline="compared"
    )
    return replace(one, source="tests/test_vae.py", line=7, **changes)  # type: ignore[arg-type]


def failed(check: str, name: str) -> ReportEntry:
    """Return the entry of a call in which one check failed."""
    result = CheckResult(
        check=check, outcome="failed", findings=(Finding(subject="w", text="is 3 NaN"),)
    )
    return ReportEntry.of(
        verdict(results=(result,), name=name), node_id="t.py::t", outcome="failed", baseline="off"
    )


def test_a_summary_begins_with_what_drifted() -> None:
    """Counts must come first, then the drifted calls, then other failures."""
    text = summary_text(Report(entries=(failed("finite", "one"), entry("two"))))
    assert text.startswith("### Gradients: FAILED\n\n2 checked, 2 failed, 1 drifted")
    assert 0 < text.index("`tests/test_vae.py::test::two`") < text.index("`t.py::t::one`")
    assert text.count("<details>") == text.count("</details>") == 2


def test_a_summary_says_a_cause_that_calls_share_in_one_row() -> None:
    """Calls that drifted for one reason must be one row; of each cause, one story must come."""
    entries = (*(entry(f"c{i}") for i in range(30)), failed("finite", "one"))
    lines = summary_text(Report(entries=entries)).splitlines()
    rows = [line for line in lines if line.startswith("| `")]
    calls = "<br>".join([*(f"`tests/test_vae.py::test::c{i}`" for i in range(3)), "and 27 more"])
    assert rows[0] == f"| {calls} | drifted | - | - | every gradient scaled by 1.1 |"
    assert rows[1].startswith("| `t.py::t::one` | finite |")
    told = [line.partition("<summary>")[2] for line in lines if "<summary>" in line]
    assert told[:3] == [
        "tests/test&#95;vae.py::test::c0</summary>",
        "t.py::t::one</summary>",
        "tests/test&#95;vae.py::test::c1</summary>",
    ]
    assert len(told) == 20


def test_a_summary_of_a_run_that_passed_is_one_paragraph() -> None:
    """Where nothing failed there must be nothing but the counts; without calls, nothing."""
    one = ReportEntry(node_id="t.py::t", name="", outcome="passed", baseline="compared")
    assert summary_text(Report(entries=(one,))) == (
        "### Gradients: passed\n\n1 checked; 0.00 s of gradient work\n\n"
    )
    assert summary_text(Report()) == ""


@pytest.mark.parametrize("limit", [100_000, 20_000, 3_000, 300, 10])
def test_a_summary_keeps_within_its_size(limit: int) -> None:
    """However many calls failed, the summary must fit, and be whole Markdown."""
    text = summary_text(Report(entries=tuple(entry(f"c{i}") for i in range(400))), limit=limit)
    assert len(text.encode()) <= limit
    assert text.count("<details>") == text.count("</details>")
    assert text.count("```") % 2 == 0
    assert bool(text) is (limit > 10)


def test_code_quality_has_what_gitlab_needs() -> None:
    """Each failed check must be one finding on the line of its call."""
    found = json.loads(codequality_text(Report(entries=(entry("two"), failed("finite", "")))))
    assert [(f["check_name"], f["severity"]) for f in found] == [
        ("gradcheck.drift", "major"),
        ("gradcheck.finite", "critical"),
    ]
    assert found[0]["location"] == {"path": "tests/test_vae.py", "lines": {"begin": 7}}
    assert found[1]["location"] == {"path": "t.py", "lines": {"begin": 1}}
    assert "is 3 NaN" in found[1]["description"]


def test_code_quality_is_what_the_format_asks_for() -> None:
    """Every finding must have each key, of the kind that GitLab reads, and nothing else.

    https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format: one array, no byte
    order mark; paths are relative and do not begin with ``./``; one of five severities.
    """
    odd = replace(entry("50%, a:b\r\nc"), source="sub/./test_a.py", line=0)
    text = codequality_text(Report(entries=(odd, failed("finite", "one"))))
    assert text.startswith("[\n")
    found = json.loads(text)
    keys = ["check_name", "description", "fingerprint", "location", "severity"]
    assert [sorted(one) for one in found] == [keys] * 2
    for one in found:
        assert re.fullmatch(r"gradcheck\.[a-z_]+", one["check_name"])
        assert re.fullmatch("[0-9a-f]{64}", one["fingerprint"])
        assert one["severity"] in {"info", "minor", "major", "critical", "blocker"}
        assert sorted(one["location"]) == ["lines", "path"]
        assert one["location"]["lines"] == {"begin": 1}
        assert not one["location"]["path"].startswith(("/", "./"))
        assert one["description"]
    assert len({one["fingerprint"] for one in found}) == 2
    assert [one["location"]["path"] for one in found] == ["sub/test_a.py", "t.py"]
    assert "50%, a:b" in found[0]["description"]


def test_code_quality_paths_are_from_the_root_of_the_repository() -> None:
    """A project in a folder of its repository must be told with that folder."""
    for folder, expected in (("", "t/a.py"), (".", "t/a.py"), ("ml/core", "ml/core/t/a.py")):
        report = Report(entries=(replace(entry("a"), source="t/a.py"),), folder=folder)
        (found,) = json.loads(codequality_text(report))
        assert found["location"]["path"] == expected


def test_a_fingerprint_is_of_the_call_and_the_check_alone() -> None:
    """The same failure on another line must be the same finding; another call another one."""

    def prints(*entries: ReportEntry) -> list[str]:
        return [f["fingerprint"] for f in json.loads(codequality_text(Report(entries=entries)))]

    first, moved, other = prints(entry("a"), replace(entry("a"), line=99), entry("b"))
    assert first == moved != other


def test_expected_failures_are_no_findings() -> None:
    """What a test expects must not be reported; tolerated drift must, as minor."""
    expected = replace(entry("a"), outcome="xfailed")
    tolerated = replace(entry("b"), failed=(), outcome="passed")
    found = json.loads(codequality_text(Report(entries=(expected, tolerated))))
    assert [f["severity"] for f in found] == ["minor"]


def test_a_json_report_comes_back_as_it_was() -> None:
    """Reading what was written must give the same report, offers and coverage included."""
    offer = Offer(action="rewrite", entry=measurement(shadow=True), replaces="ab")
    one = replace(entry("a"), file="t/__gradients__/m/t.json", key="t", offer=offer)
    whole = Report(
        environment={"torch": "2.13.0", "dirty": True},
        settings={"grad_top": 20, "grad_variant": None},
        entries=(one, failed("finite", "b")),
        unused=("x",),
        notes=("y",),
        coverage=Coverage(modules=("t.py",), collected=3, collected_sum=2**63, reasons=("z",)),
    )
    assert parse_report(json_text(whole), source="r.json") == whole


def test_a_report_of_another_version_is_refused() -> None:
    """A version that is not known must be named, with what to do."""
    text = json_text(Report()).replace('"schema_version": 1', '"schema_version": 7')
    with pytest.raises(UsageError, match=r"has version 7 .* install the version"):
        parse_report(text, source="r.json")
