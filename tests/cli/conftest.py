"""A project in a repository of its own, with a program to call in it."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_gradcheck.cli import main

ROOT = Path(__file__).parents[2]

BOWL = """
import os
import numpy as np

W = {"w": np.array([1.0, -2.0, 3.0]), "b": np.array([0.5])}

def bowl(scale=1.0):
    scale *= float(os.environ.get("BOWL_SCALE", "1"))
    def value_and_grad(point):
        value = 0.5 * scale * sum(float((v * v).sum()) for v in point.values())
        return value, {"w": scale * point["w"], "b": scale * point["b"]}
    return value_and_grad
"""

TESTS = """
import pytest
from bowl import W, bowl

def test_one(gradcheck):
    gradcheck(W, value_and_grad=bowl())

@pytest.mark.parametrize("k", [1, 2])
def test_two(gradcheck, k):
    gradcheck(W, value_and_grad=bowl(k))

class TestMore:
    def test_three(self, gradcheck):
        gradcheck(W, value_and_grad=bowl(), name="plain")
"""


@dataclass(frozen=True, slots=True)
class Project:
    """Write tests, run them, and call the program, all in one folder."""

    path: Path
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def write(self, name: str, text: str) -> Path:
        """Write a file."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def pytest(self, *args: str, scale: float = 1.0, **environ: str) -> str:
        """Run pytest in a process of its own, with gradients scaled by something."""
        given = {k: v for k, v in os.environ.items() if not k.startswith(("CI", "GITHUB_"))}
        given |= {"BOWL_SCALE": repr(scale), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        given |= {"PYTHONPATH": os.pathsep.join([str(ROOT), str(self.path)]), **environ}
        command = [sys.executable, "-m", "pytest", "-p", "pytest_gradcheck.plugin", *args]
        done = subprocess.run(
            command, cwd=self.path, env=given, capture_output=True, text=True, check=False
        )
        assert done.returncode in {0, 1}, done.stdout + done.stderr
        return done.stdout

    def git(self, *words: str) -> str:
        """Run git."""
        done = subprocess.run(
            ["git", "-c", "user.name=n", "-c", "user.email=e@x", *words],
            cwd=self.path,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    def commit(self, subject: str) -> None:
        """Commit everything."""
        self.git("add", "-A")
        self.git("commit", "-q", "-m", subject)

    def call(self, *words: str, answers: str = "") -> tuple[int, str, str]:
        """Call the program; return its exit code, what it said, and its complaints."""
        self.capsys.readouterr()
        self.monkeypatch.chdir(self.path)
        self.monkeypatch.setattr(sys, "stdin", io.StringIO(answers))
        try:
            code = main(words)
        except SystemExit as end:
            code = int(end.code or 0)
        said = self.capsys.readouterr()
        return code, said.out, said.err

    def baselines(self) -> dict[str, bytes]:
        """Return every baseline file, byte for byte."""
        return {
            path.relative_to(self.path).as_posix(): path.read_bytes()
            for path in sorted(self.path.rglob("__gradients__/*/*.json"))
        }


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project whose baselines are recorded and committed, to be copied."""
    path = tmp_path_factory.mktemp("recorded")
    with pytest.MonkeyPatch.context() as patch:
        project = Project(path, patch, None)  # type: ignore[arg-type]
        project.write("pytest.ini", "[pytest]\n")
        project.write(".gitignore", ".pytest_cache\n__pycache__\n*.out.json\n")
        project.write("bowl.py", BOWL)
        project.write("tests/test_m.py", TESTS)
        project.git("init", "-q", "-b", "main")
        project.commit("tests")
        project.pytest("-q", "--grad-baseline-update")
        project.commit("baselines")
    return path


@pytest.fixture
def project(
    recorded: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Project:
    """Return a copy of the recorded project."""
    path = tmp_path / "project"
    shutil.copytree(recorded, path)
    return Project(path, monkeypatch, capsys)
