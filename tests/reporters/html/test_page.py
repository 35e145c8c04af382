"""The page as text: sealed, escaped, small, whole."""

from __future__ import annotations

import base64
import json
import math
import re
import zlib
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

from pytest_gradcheck.records import CheckResult, Healthy, Metric, Series
from pytest_gradcheck.reporters import Report, ReportEntry
from pytest_gradcheck.reporters.html import html_text
from pytest_gradcheck.reporters.html.figures import line, strip
from pytest_gradcheck.reporters.html.series_figures import series_figures
from pytest_gradcheck.series.judge import judge_series
from pytest_gradcheck.series.rules import Rule
from tests.measurements import verdict
from tests.reporters.html.pages import IMAGE, SCRIPT, broken, entry, large, odd, report


class Tags(HTMLParser):
    """Gather the tags of a page and where they point."""

    def __init__(self) -> None:
        """Start with none."""
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.found.append((tag, dict(attrs)))


def tags(text: str) -> list[tuple[str, dict[str, str | None]]]:
    """Return the tags of a page."""
    parser = Tags()
    parser.feed(text)
    return parser.found


def unpacked(text: str) -> Any:
    """Return packed data as the page's script reads it."""
    return json.loads(zlib.decompress(base64.b64decode(text)))


def calls(text: str) -> list[Any]:
    """Return what a page shows of each call, in the order of the tests."""
    groups = [a["value"] for _, a in tags(text) if re.fullmatch(r"data-\d+", a.get("id") or "")]
    return [call for group in groups for call in unpacked(group or "")]


def test_the_page_needs_nothing_beside_itself() -> None:
    """No tag may point out of the page, and the policy must forbid what could."""
    found = tags(html_text(report()))
    for name in ("src", "href", "action", "srcset"):
        for _, attributes in found:
            assert (attributes.get(name) or "#").startswith(("#", "data:"))
    policy = next(a["content"] or "" for _, a in found if "http-equiv" in a)
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not [a for _, a in found if "style" in a or any(k.startswith("on") for k in a)]


def test_names_never_become_tags() -> None:
    """The only script must be ours, and no name may have made an image."""
    found = [tag for tag, _ in tags(html_text(report()))]
    assert found.count("script") == 1
    assert "img" not in found


def test_a_page_of_an_empty_run_is_whole() -> None:
    """A run without gradients must give a page that says so."""
    text = html_text(Report())
    assert "No gradient was checked" in text
    assert text.rstrip().endswith("</html>")
    assert 'id="calls"' not in text.partition("<script>")[0]


def test_every_line_of_the_overview_says_what_became_of_the_call() -> None:
    """States, test and cause must stand in the page without any script."""
    body = html_text(report()).partition("<script>")[0]
    assert '"failed|drifted"' in body
    assert '"failed|missing"' in body
    assert "finite: w: 1 / 2 NaN at [1]" in body
    assert "&lt;script&gt;window.broken = 1&lt;/script&gt;: sign flipped" in body


def test_a_call_holds_what_the_reader_needs() -> None:
    """Cause, command, differences and numbers of a call must all be in its data."""
    (call,) = calls(html_text(Report(environment={"python": "3.11.7"}, entries=(odd(),))))
    assert call["causes"] == [f"{SCRIPT}: sign flipped"]
    assert call["command"] == "pytest test_vae.py::test_odd[<b>]"
    assert ["torch", "2.12.0", "2.13.0"] in call["environment"]
    assert ["python", None, "3.11.7"] in call["environment"]
    columns = call["parameters"]
    assert columns["observed"] == [1.8, 0.0]
    assert columns["allowed"] == 0.001
    assert columns["hist"] == ["-4:8f", ""]
    assert call["components"]["rows"][0][0] == IMAGE
    assert call["components"]["cosines"] == [[1.0, -0.4], [-0.4, 1.0]]
    assert call["elements"][0] == [1, [0], 0.33333]


def test_what_is_not_finite_and_what_is_gone_is_kept() -> None:
    """NaN, and parameters that only the baseline has, must reach the reader."""
    (call,) = calls(html_text(Report(entries=(broken(),))))
    assert call["parameters"]["bad"] == {"0": [1, 0, [[1]]]}
    assert call["totals"][0][1] == "nan"
    was = verdict(large(1).gradients.measurement, results=())  # type: ignore[union-attr]
    (call,) = calls(html_text(Report(entries=(entry("a.py::b", was),))))
    gone = [name for name, _, _ in call["parameters"]["gone"]]
    assert gone == ["encoder.weight", "encoder.bias"]


def test_a_test_that_failed_for_another_reason_is_not_called_passed() -> None:
    """A red test whose gradients are sound must be told from a green one."""
    fine = verdict(results=(CheckResult(check="finite", outcome="passed"),))
    one = ReportEntry.of(fine, node_id="a.py::b", outcome="failed", baseline="compared")
    body = html_text(Report(entries=(one,))).partition("<script>")[0]
    assert "test failed" in body
    assert "every check of the call passed" in body


def test_a_call_of_which_only_the_outcome_is_known_is_listed() -> None:
    """Without a verdict there must still be a line."""
    one = ReportEntry(node_id="a.py::b", name="", outcome="passed", baseline="withheld", reason="x")
    text = html_text(Report(entries=(one,)))
    assert calls(text) == [{}]
    assert '<span class="cause">x</span>' in text


def test_many_parameters_stay_small() -> None:
    """A call of a hundred parameters must take less than 4 kB of a page."""
    few, many = (len(html_text(Report(entries=(large(100),) * n))) for n in (1, 33))
    assert (many - few) / 32 < 4096


def test_long_series_are_thinned_and_keep_their_end() -> None:
    """A figure must not grow with the run, and its last value must be the last one."""
    values = [float(i) for i in range(5000)]
    values[7] = math.nan
    figure = line("loss", {"loss": (range(5000), values)}, bands={"ok": (0.0, None)})
    (series,) = figure["lines"]
    assert len(series["values"]) <= 402
    assert series["values"][series["at"].index(7)] == "nan"
    assert (series["at"][-1], series["values"][-1]) == (4999, 4999)
    assert figure["bands"] == [["ok", 0, None]]


def test_a_strip_holds_every_value() -> None:
    """Points of a distribution must all be there, those that are not finite as text."""
    figure = strip("norms", {"now": [1.0, math.inf]}, marks={"point": 2.0})
    assert figure["groups"] == [{"name": "now", "values": [1, "inf"]}]
    assert figure["marks"] == [["point", 2]]


def test_a_training_run_shows_what_failed_first() -> None:
    """A figure must hold what belongs together, the one that a rule blames before the others."""
    steps = (0, 1, 2)
    metrics = [
        Metric(key=key, group=group, steps=steps, values=values)
        for key, group, values in (
            ("loss", "core", (3.0, 2.0, 1.0)),
            ("norm", "core", (1.0, 1e2, 1e4)),
            ("lr", "core", (0.1, 0.1, 0.1)),
            ("component.kl", "component", (1.0, 1.0, 1.0)),
        )
    ]
    series = Series(objective="m", backend="torch", device="cpu", steps=3, metrics=tuple(metrics))
    said = judge_series(series, (Rule(metric="norm", observe="max", healthy=(0, 10)),))
    assert said.healthy == (
        Healthy(rule="norm", observe="max", metrics=("norm",), low=0.0, high=10.0),
    )
    figures = series_figures(said)
    assert [one["title"] for one in figures] == ["norm", "loss and component.kl", "lr"]
    assert [one["log"] for one in figures] == [True, False, False]
    assert figures[0]["bands"] == [["norm, healthy max", 0, 10]]
    parts = replace(series, metrics=tuple(metrics[3:]))
    assert [one["title"] for one in series_figures(judge_series(parts, ()))] == ["component.kl"]


def test_a_cause_that_calls_share_stands_there_once() -> None:
    """A shared cause must be one block with links; its rows point there, and can be searched."""
    every = [replace(odd(), node_id=f"a.py::test[{i}]") for i in range(6)]
    body = html_text(Report(entries=(*every, broken()))).partition("<script>")[0]
    block = body[body.index('class="shared"') : body.index("<noscript>")]
    assert re.findall("href=.(#call-[0-9]+)", block) == ["#call-0", "#call-1", "#call-2"]
    assert "6 calls: &lt;script&gt;window.broken = 1&lt;/script&gt;: sign flipped" in block
    assert "and 3 more" in block
    assert body.count('<span class="path">shared cause 1</span>') == 6
    assert body.count('<span class="cause" hidden>') == 6
    assert body.count('<span class="cause">') == 1
    assert 'class="shared"' not in html_text(report()).partition("<script>")[0]
