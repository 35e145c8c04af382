"""What decides which tests an environment runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SUITE = {
    "test_inside": "def test_inside():\n    import torch\n",
    "test_snippet": 'def test_snippet():\n    text = """\nimport pymc\n"""\n',
    "test_top": "import torch\n\ndef test_top(): pass\n",
    "test_indirect": "from tests.models import mlp\n\ndef test_indirect(): pass\n",
    "test_fixture": "def model():\n    import torch\n\ndef test_fixture(): pass\n",
    "test_plain": "def test_plain(): pass\n",
}


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    """Return a small suite, each of its files needing torch or PyMC in another way."""
    shutil.copy(ROOT / "conftest.py", pytester.path)
    pytester.makepyprojecttoml("""
        [tool.pytest.ini_options]
        pythonpath = ["."]
        markers = ["pymc", "torch"]
    """)
    tests = pytester.mkdir("tests")
    (tests / "models.py").write_text("import torch\n", encoding="utf-8")
    for name, text in SUITE.items():
        (tests / f"{name}.py").write_text(text, encoding="utf-8")
    return pytester


def collected(pytester: pytest.Pytester, *args: str) -> set[str]:
    """Return the names of the collected tests."""
    result = pytester.runpytest_subprocess("--collect-only", "-q", "-p", "no:gradcheck", *args)
    return {line.partition("::")[2] for line in result.outlines if "::" in line}


def test_a_package_not_under_test_leaves_out_every_test_that_needs_it(
    suite: pytest.Pytester,
) -> None:
    """Tests that import torch in any way must be left out where torch is not under test."""
    actual = collected(suite, "--extras=")
    assert actual == {"test_plain"}


@pytest.mark.pymc
def test_tests_that_need_pymc_can_be_selected(suite: pytest.Pytester) -> None:
    """The marker of a backend must be on the tests whose source imports it, strings included."""
    actual = collected(suite, "--extras=pymc", "-m", "pymc")
    assert actual == {"test_snippet"}


@pytest.mark.parametrize("name", ["torhc", "numpy"])
def test_an_unknown_package_fails_the_run(suite: pytest.Pytester, name: str) -> None:
    """A mistyped package must fail the run, not shrink it."""
    result = suite.runpytest_subprocess(f"--extras={name}")
    result.stderr.fnmatch_lines(f"*{name}*hypothesis, pymc, syrupy, torch*")
    assert result.ret == pytest.ExitCode.USAGE_ERROR


def test_a_package_under_test_that_is_missing_fails_the_run(suite: pytest.Pytester) -> None:
    """A package under test that cannot be imported must fail the run, not skip tests."""
    text = (suite.path / "conftest.py").read_text(encoding="utf-8")
    absent = text.replace('"torch")', '"absent")')
    (suite.path / "conftest.py").write_text(absent, encoding="utf-8")
    result = suite.runpytest_subprocess("--extras=absent")
    result.stderr.fnmatch_lines("*absent is under test and not installed*")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
