"""Entries of every kind: whole gradients, terms, replicates, training runs, variants."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import jsonschema
import pytest

from tests.cli.conftest import Project

if TYPE_CHECKING:
    from pathlib import Path

TESTS = """
import os
import pytest
import torch
from torch import nn

SCALE = float(os.environ.get("BOWL_SCALE", "1"))
STEPS = int(os.environ.get("STEPS", "8"))

def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)), torch.randn(8, 3)

def test_terms(gradcheck):
    model, x = net()
    gradcheck(model, lambda: {"fit": SCALE * model(x).square().mean(), "size": model(x).mean()})

def test_calls(gradcheck):
    model, x = net()
    gradcheck(model, lambda: model(x).square().mean())
    gradcheck(model, lambda: SCALE * model(x).abs().mean(), name="again")

@pytest.mark.gradcheck
def test_unasked():
    train()

def test_noise(gradcheck):
    model, x = net()
    noisy = nn.Sequential(nn.Dropout(0.5), model)
    gradcheck(noisy, lambda: SCALE * noisy(x).square().mean(), replicates=6)

def test_training(gradcheck):
    with gradcheck.watch():
        train()

def train():
    model, x = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(STEPS):
        optimizer.zero_grad()
        (SCALE * model(x).square().mean()).backward()
        optimizer.step()
"""
FOLDER = "tests/__gradients__/test_rich"
RUN = f"{FOLDER}/test_training.json"
VARIANT = ("-q", "--grad-baseline-update", "--grad-variant=far")
FLAGS = ("-q", "-W", "ignore", "--grad-report=r.out.json")


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a recorded project, one that drifted and was reported, and one that was updated.

    The second has the report of a variant as well, and the third its baselines.
    """
    path = tmp_path_factory.mktemp("rich") / "project"
    with pytest.MonkeyPatch.context() as patch:
        project = Project(path, patch, None)  # type: ignore[arg-type]
        project.write("pytest.ini", "[pytest]\n")
        project.write(".gitignore", ".pytest_cache\n__pycache__\n*.out.json\n")
        project.write("tests/test_rich.py", TESTS)
        project.git("init", "-q", "-b", "main")
        project.commit("tests")
        project.pytest("-q", "--grad-baseline-update")
        project.commit("baselines")
        drifted, updated = path.parent / "drifted", path.parent / "updated"
        for twin in (drifted, updated):
            shutil.copytree(path, twin)
        there = Project(drifted, patch, None)  # type: ignore[arg-type]
        there.pytest(*FLAGS, scale=1.01)
        there.pytest(*VARIANT, "--grad-report=v.out.json")
        for file in drifted.rglob("*@far.json"):
            file.unlink()
        there = Project(updated, patch, None)  # type: ignore[arg-type]
        there.pytest("-q", "--grad-baseline-update", scale=1.01)
        there.pytest(*VARIANT)
    return {"drifted": drifted, "updated": updated}


@pytest.fixture
def drifted(
    rich: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Project:
    """Return a copy of the project that drifted."""
    shutil.copytree(rich["drifted"], tmp_path / "project")
    return Project(tmp_path / "project", monkeypatch, capsys)


def test_every_kind_becomes_what_an_update_writes(drifted: Project, rich: dict[str, Path]) -> None:
    """Terms, replicates, training runs and variants must be accepted byte for byte."""
    code, said, _ = drifted.call("accept", "r.out.json")
    assert (code, said.count("rewritten ")) == (0, 5)
    code, said, _ = drifted.call("accept", "v.out.json")
    assert (code, said.count("created ")) == (0, 6)
    there = Project(rich["updated"], drifted.monkeypatch, drifted.capsys)
    assert drifted.baselines() == there.baselines()
    assert len(drifted.baselines()) == 10


def test_every_kind_can_be_reviewed(drifted: Project, rich: dict[str, Path]) -> None:
    """Stepping through must show a training run as its test did, and write it."""
    code, said, _ = drifted.call("review", "r.out.json", "--list")
    assert (code, said.count("drifted ")) == (1, 5)
    code, said, _ = drifted.call("review", "r.out.json", "--select=training", answers="a\n")
    assert code == 0
    assert "loss and gradient are x1.01 from the first step on: a weight?" in said
    there = Project(rich["updated"], drifted.monkeypatch, drifted.capsys)
    assert drifted.baselines()[RUN] == there.baselines()[RUN]


def test_every_kind_is_shown(drifted: Project) -> None:
    """A training run must have a table of its own, and one of its metrics."""
    code, said, wrong = drifted.call("show", FOLDER)
    assert (code, wrong) == (0, "")
    assert [line.split()[0] for line in said.splitlines() if line.startswith("test_")] == [
        *("test_calls", "test_calls::again", "test_noise", "test_terms"),
        *("test_training", "test_unasked"),
    ]
    code, said, _ = drifted.call("show", RUN)
    head, row, _, title, columns, *metrics = said.splitlines()
    assert head.split()[:3] == ["training", "run", "status"]
    assert row.split()[:3] == ["test_training", "baseline", "8"]
    assert title == f"{RUN}::test_training"
    assert columns.startswith("metric")
    assert metrics[0].split()[0] == "loss"
    (one,) = json.loads(drifted.call("show", RUN, "--json")[1])
    assert (one["kind"], one["series"]["steps"]) == ("series", 8)
    code, said, _ = drifted.call("show", "r.out.json", "training")
    assert said.splitlines()[1].split()[:3] == ["test_training", "drifted", "8"]


def test_training_runs_are_compared(drifted: Project, rich: dict[str, Path]) -> None:
    """Two files, a report and a baseline, and two kinds must be held against each other."""
    other = str(rich["updated"] / RUN)
    code, said, _ = drifted.call("diff", RUN, RUN)
    assert (code, said) == (0, "1 same\n")
    code, said, _ = drifted.call("diff", RUN, other)
    assert code == 1
    assert "drift [loss]" in said
    assert "cause: loss and gradient are x1.01 from the first step on: a weight?" in said
    assert drifted.call("diff", RUN, other, "--min-drift=0.1")[0] == 0
    assert drifted.call("accept", "r.out.json")[0] == 0
    (one,) = json.loads(drifted.call("diff", RUN, other, "--json")[1])
    assert (one["status"], one["distance"]) == ("same", None)
    code, said, _ = drifted.call("diff", "HEAD")
    assert (code, said.splitlines()[-1]) == (1, "1 same, 5 drift")
    path = drifted.path / RUN
    data = json.loads(path.read_text(encoding="utf-8"))
    data["entries"]["test_training"] |= {"steps": 9}
    path.write_text(json.dumps(data), encoding="utf-8")
    code, said, _ = drifted.call("diff", RUN, other)
    assert "structure [steps]  9 -> 8 steps" in said
    noise = (drifted.path / FOLDER / "test_noise.json").read_text(encoding="utf-8")
    path.write_text(noise.replace('"test_noise"', '"test_training"'), encoding="utf-8")
    code, said, _ = drifted.call("diff", RUN, other)
    assert (code, "a gradient -> a training run" in said) == (1, True)


def test_the_history_of_a_training_run_is_known(drifted: Project) -> None:
    """Each step of a training run must be listed, with the mean of its gradient norm."""
    drifted.call("accept", "r.out.json", "training")
    drifted.commit("scaled")
    drifted.pytest("-q", "--grad-baseline-update", "-k", "training", scale=1.01, STEPS="9")
    drifted.commit("longer")
    (drifted.path / RUN).unlink()
    drifted.commit("gone")
    code, said, wrong = drifted.call("history", RUN, "--json")
    assert (code, wrong) == (0, "")
    steps = json.loads(said)
    assert [one["change"] for one in steps] == ["recorded", "moved", "structure", "removed"]
    assert steps[1]["norm"] == pytest.approx(1.01 * steps[0]["norm"], rel=1e-2)


def test_variants_of_training_runs_that_disagree_are_found(drifted: Project) -> None:
    """Steps, metrics and norms that no device explains must be a problem, others none."""
    drifted.call("accept", "v.out.json")
    assert drifted.call("lint")[0] == 0
    path = drifted.path / RUN.replace(".json", "@far.json")
    whole = json.loads(path.read_text(encoding="utf-8"))

    def problem(**change: object) -> str:
        entry = whole["entries"]["test_training"] | change
        path.write_text(json.dumps(whole | {"entries": {"test_training": entry}}), "utf-8")
        code, said, _ = drifted.call("lint")
        assert code == 1
        return said

    metrics = whole["entries"]["test_training"]["metrics"]
    assert "has 99 steps, there 8" in problem(steps=99)
    assert "the metrics are others" in problem(metrics={"loss": metrics["loss"]})
    far = metrics | {"norm": metrics["norm"] | {"mean": 1e3}}
    assert "the mean gradient norm is" in problem(metrics=far)
    noise = drifted.path / FOLDER / "test_noise.json"
    path.write_text(noise.read_text("utf-8").replace("test_noise", "test_training"), "utf-8")
    assert "one is of a gradient, the other of a training run" in drifted.call("lint")[1]


def test_every_kind_is_what_the_schemas_say(drifted: Project) -> None:
    """Files with every kind of entry must validate, and a spoilt training run must not."""
    report = json.loads((drifted.path / "r.out.json").read_text(encoding="utf-8"))
    jsonschema.validate(report, json.loads(drifted.call("schema", "report")[1]))
    schema = json.loads(drifted.call("schema")[1])
    for data in drifted.baselines().values():
        jsonschema.validate(json.loads(data), schema)
    spoilt = json.loads(drifted.baselines()[RUN])
    spoilt["entries"]["test_training"]["kind"] = "other"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(spoilt, schema)
