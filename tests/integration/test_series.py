"""Training runs in tests: recorded, compared, accepted, reported; marked, watched, misused."""

from __future__ import annotations

import json
import pickle
from fnmatch import fnmatchcase
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest
import torch._dynamo  # noqa: F401 - which optimizers load: once for all runs in this process

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import Suite

pytestmark = pytest.mark.torch

LOOP = """
import torch
from torch import nn

def train(steps=12, lr=0.1, scale=1.0, run=None):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    x = torch.randn(16, 4)
    y = x[:, :1]
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = scale * nn.functional.mse_loss(model(x), y)
        loss.backward()
        if run is not None:
            run.log(components={"fit": loss})
        optimizer.step()
    return model
"""
WATCHED = """
def test_training(gradcheck):
    with gradcheck.watch(name={name!r}) as run:
        train(run=run, {arguments})
"""
MARKED = """
@pytest.mark.gradcheck({marker})
def test_training():
    train({arguments})
"""


@pytest.fixture
def loop(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> Suite:
    """Return a suite with a loop to watch, on a screen that breaks no line."""
    monkeypatch.setenv("COLUMNS", "400")
    (suite.path / "loop.py").write_text(LOOP, encoding="utf-8")
    return suite


def write(suite: Suite, source: str, *, name: str | None = None, **options: str) -> None:
    """Write the test that trains."""
    options = {"arguments": "", "marker": ""} | options
    text = dedent(source).format(name=name, **options)
    suite.write("test_m", "from loop import train\n" + text)


def stored(suite: Suite) -> dict[str, Any]:
    """Return the entries of the baseline file."""
    data = json.loads(suite.baselines()["__gradients__/test_m/test_training.json"])
    entries: dict[str, Any] = data["entries"]
    return entries


@pytest.mark.parametrize("source", [WATCHED, MARKED])
def test_recorded_then_compared(loop: Suite, source: str) -> None:
    """A run must fail without a baseline, be recorded when asked, and hold from then on."""
    write(loop, source)
    result = loop.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*drift [[]baseline[]]*no entry*test_training*"])
    loop.run("--grad-baseline-update").assert_outcomes(passed=1)
    assert stored(loop)["test_training"]["kind"] == "series"
    before = loop.baselines()
    loop.run().assert_outcomes(passed=1)
    loop.run("--grad-baseline-update").assert_outcomes(passed=1)
    assert loop.baselines() == before


def test_drift_is_told_and_an_update_records_it(loop: Suite) -> None:
    """Another learning rate must fail with its cause, and only what moved be rewritten."""
    write(loop, WATCHED)
    loop.run("--grad-baseline-update").assert_outcomes(passed=1)
    before = stored(loop)["test_training"]["metrics"]
    write(loop, WATCHED, arguments="lr=0.05")
    result = loop.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*lr, step 0*0.1 -> 0.05*",
            "*cause: the learning rate is not what it was*",
        ]
    )
    loop.run("--grad-baseline-update").assert_outcomes(passed=1)
    after = stored(loop)["test_training"]["metrics"]
    assert after["lr"]["mean"] == 0.05
    assert after["norm.0.weight"]["head"][0] == before["norm.0.weight"]["head"][0]
    loop.run().assert_outcomes(passed=1)


def test_drift_can_be_tolerated(loop: Suite) -> None:
    """Under ``--grad-drift=warn`` the test must pass, and the story be a warning."""
    write(loop, WATCHED)
    loop.run("--grad-baseline-update")
    write(loop, WATCHED, arguments="scale=3.0")
    result = loop.run("--grad-drift=warn", "-W", "default")
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(["*GradientDriftWarning*training of 'Sequential'*"])


def test_a_run_that_breaks_a_rule_is_not_recorded(loop: Suite) -> None:
    """An unhealthy run must fail and leave no baseline."""
    write(loop, MARKED, marker="max_norm=1e-3")
    result = loop.run("--grad-baseline-update")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*max_norm [[]norm[]]*largest value*healthy 0 to 0.001"])
    assert not loop.baselines()


def test_a_gradient_in_the_place_of_a_run(loop: Suite) -> None:
    """A call that changed its kind must say so, and an update must make it anew."""
    write(loop, WATCHED)
    loop.run("--grad-baseline-update")
    write(loop, "def test_training(gradcheck):\n    gradcheck(W, value_and_grad=bowl())")
    result = loop.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*keeps a training run, which this call is not*"])
    loop.run("--grad-baseline-update").assert_outcomes(passed=1)
    assert "kind" not in stored(loop)["test_training"]


def read(path: Path) -> dict[str, Any]:
    """Return the one call of a report."""
    if path.suffix == ".pkl":
        data = pickle.loads(path.read_bytes())
        return dict(data["calls"][0])
    data = json.loads(path.read_text(encoding="utf-8"))
    return dict(data["calls"][0] if "calls" in data else data)


def test_reports_have_every_step(loop: Suite) -> None:
    """Every format must hold what was asked, the summaries and each step."""
    write(loop, WATCHED, name="first")
    paths = [loop.path / f"r{suffix}" for suffix in (".json", ".jsonl", ".pkl")]
    page = loop.path / "r.md"
    options = [f"--grad-report={path}" for path in (*paths, page)]
    loop.run("--grad-baseline-update", *options).assert_outcomes(passed=1)
    for path in paths:
        call = read(path)
        assert call["schema_version"] == 1
        assert call["config"]["facts"]["optimizers"] == "SGD"
        assert call["series"]["component.fit"]["steps"] == list(range(12))
        assert call["metrics"]["loss.last"] == call["series"]["loss"]["values"][-1]
    text = page.read_text(encoding="utf-8")
    for title in ("Run", "Health: PASS", "Scale checks", "Core metrics", "Samples: head"):
        assert f"### {title}\n" in text


USELESS = {
    "rules": (
        "rules=(Rule(metric='norm', healthy=(0, 1)),)",
        "gradcheck(W, value_and_grad=bowl(), drift=False)",
        "rules",
    ),
    "without": ("without='loss'", "gradcheck(W, value_and_grad=bowl(), drift=False)", "without"),
    "epoch": ("epoch=5", "gradcheck.measure(W, value_and_grad=bowl())", "epoch"),
}


@pytest.mark.parametrize("name", USELESS)
def test_what_only_training_runs_have_without_one(suite: Suite, name: str) -> None:
    """A marker that speaks of a training run on a test that watches none must fail it."""
    marker, call, said = USELESS[name]
    suite.write(
        "test_m",
        f"""
        from pytest_gradcheck import Rule

        @pytest.mark.gradcheck({marker})
        def test_it(gradcheck):
            {call}
        """,
    )
    result = suite.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [f"*the gradcheck marker on test_it says {said}=*no training run*gradcheck.watch(*"]
    )


def test_a_marker_of_a_class_need_not_fit_every_test(loop: Suite) -> None:
    """What is written once for many tests must not fail those that train nothing."""
    loop.write(
        "test_m",
        """
        from loop import train

        @pytest.mark.gradcheck(without="loss")
        class TestAll:
            def test_gradient(self, gradcheck):
                gradcheck(W, value_and_grad=bowl(), drift=False)

            def test_training(self, gradcheck):
                with gradcheck.watch(drift=False):
                    train()
        """,
    )
    loop.run().assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (
            "per_parameter={'*.bias': {'max_abs': 1.0}}",
            "max_abs of per_parameter is for single gradients*max_norm, min_norm",
        ),
        ("max_abs=1.0", "the limit max_abs is for single gradients"),
        (
            "per_parameter={'head.*': {'max_norm': 1.0}}",
            "no metric matches 'norm.head.[*]'",
        ),
        ("max_share=0.5", "no component was seen*run.log(components="),
    ],
)
def test_a_limit_that_nothing_acts_on(loop: Suite, written: str, message: str) -> None:
    """A limit that a run cannot be held against must be refused, or fail."""
    loop.write(
        "test_m",
        f"""
        from loop import train

        def test_it(gradcheck):
            with gradcheck.watch(drift=False, {written}):
                train()
        """,
    )
    result = loop.run()
    result.assert_outcomes(failed=1)
    said = " ".join(line.removeprefix("E").strip() for line in result.outlines)
    assert fnmatchcase(said, f"*{message}*"), said


@pytest.mark.parametrize("limit", ["max_abs=1.0", "numeric=True", "replicates=4"])
def test_a_marker_alone_with_a_limit_for_gradients(loop: Suite, limit: str) -> None:
    """Where the marker itself asks for the watching, its limits must all apply to a run."""
    write(loop, MARKED, marker=limit)
    result = loop.run()
    result.assert_outcomes(errors=1)
    name = limit.partition("=")[0]
    result.stdout.fnmatch_lines([f"*the limit {name} is for single gradients*"])


def test_marker_options_without_a_loop_are_found_at_collection(loop: Suite) -> None:
    """A rule that is none must be found before anything runs."""
    write(loop, MARKED, marker="rules='loss'")
    result = loop.run("--collect-only")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*rules= takes a Rule*"])
