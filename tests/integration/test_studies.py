"""Replicates, comparisons and sweeps from inside a test."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

MODEL = """
import numpy as np
import pytest

W = {"w": np.ones(3)}

def noisy(scale=1.0, report=None):
    def function(p):
        if report is not None:
            report(np.ones((2, 4)))
        return 0.0, {"w": scale * (p["w"] + 0.1 * np.random.standard_normal(3))}
    return function
"""


def test_a_marker_takes_replicates_and_their_baseline(pytester: pytest.Pytester) -> None:
    """Recorded once, replicates must be compared in the next run and shown in the reports."""
    pytester.makepyfile(
        MODEL
        + """
@pytest.mark.gradcheck(replicates=4, max_cv=0.5, min_ess=3.0)
def test_it(gradcheck):
    gradcheck(W, value_and_grad=noisy(report=gradcheck.weights))
"""
    )
    first = pytester.runpytest("--grad-baseline-update")
    first.assert_outcomes(passed=1)
    assert "4 replicates compared as" in " ".join(first.stdout.str().split())
    again = pytester.runpytest("--grad-report=r.jsonl", "--grad-report=r.md")
    again.assert_outcomes(passed=1)
    (line,) = (pytester.path / "r.jsonl").read_text(encoding="utf-8").splitlines()
    call = json.loads(line)
    assert [one["seed"] for one in call["per_replicate"]] == [0, 1, 2, 3]
    assert call["metrics"]["replicates.ess"] == 4.0
    page = (pytester.path / "r.md").read_text(encoding="utf-8")
    assert "### Replicates" in page


def test_a_limit_of_weights_without_weights_is_an_error(pytester: pytest.Pytester) -> None:
    """The message must say how a loss reports weights."""
    pytester.makepyfile(
        MODEL
        + """
def test_it(gradcheck):
    gradcheck(W, value_and_grad=noisy(), replicates=4, min_ess=3.0, drift=False)
"""
    )
    result = pytester.runpytest()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*min_ess=3 has nothing to act on*gradcheck.weights(w)*"])


def test_a_sweep_fails_with_its_table(pytester: pytest.Pytester) -> None:
    """The failure must name the setting and both values, and reports must hold the table."""
    pytester.makepyfile(
        MODEL
        + """
def test_it(gradcheck):
    gradcheck.sweep(
        {"scale": [1.0, 3.0]},
        lambda scale: (W, {"value_and_grad": noisy(scale)}),
        max_norm_ratio=1.5,
    )
"""
    )
    result = pytester.runpytest("--grad-report=r.jsonl", "--grad-report=r.md")
    result.assert_outcomes(failed=1)
    said = " ".join(re.sub("^E +", "", result.stdout.str(), flags=re.MULTILINE).split())
    assert re.search(r"sweep \[scale\].*at scale=1,.*at scale=3: ratio 3, max_norm_ratio 1.5", said)
    call = json.loads((pytester.path / "r.jsonl").read_text(encoding="utf-8"))
    assert (call["name"], call["failed"], call["baseline"]) == ("sweep", ["sweep"], "off")
    source = (pytester.path / call["source"]).read_text(encoding="utf-8").splitlines()
    assert source[call["line"] - 1] == "    gradcheck.sweep("
    assert [row["scale"] for row in call["tables"][0]["rows"]] == ["1", "3"]
    assert "### gradient over scale" in (pytester.path / "r.md").read_text(encoding="utf-8")


def test_studies_rename_no_baseline(pytester: pytest.Pytester) -> None:
    """A study before a call must not change the key of the call's baseline."""
    pytester.makepyfile(
        MODEL
        + """
def test_it(gradcheck):
    found = gradcheck.compare(W, {"a": noisy(), "b": noisy(2.0)}, replicates=4)
    assert found["b"].variance_ratio.value == pytest.approx(4.0)
    assert gradcheck.replicates(W, None, 4, value_and_grad=noisy()).cv.value < 0.5
    gradcheck(W, value_and_grad=noisy())
"""
    )
    pytester.runpytest("--grad-baseline-update").assert_outcomes(passed=1)
    (path,) = pytester.path.rglob("test_it.json")
    assert list(json.loads(path.read_text(encoding="utf-8"))["entries"]) == ["test_it"]
