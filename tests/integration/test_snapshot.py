from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.syrupy

BOWL = """
import numpy as np

def test_bowl(gradcheck, grad_snapshot):
    w = np.array([1.0, -2.0, 3.0])
    value_and_grad = lambda p: (0.5 * float(p["w"] @ p["w"]), {"w": SCALE * p["w"]})
    assert gradcheck.measure({"w": w}, value_and_grad=value_and_grad) == grad_snapshot
"""


@pytest.fixture
def bowl(pytester: pytest.Pytester) -> Bowl:
    """A test with a snapshot."""
    return Bowl(pytester)


class Bowl:
    """Run a test with a snapshot, its gradient scaled."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        """Start with the right gradient."""
        self.pytester = pytester

    def run(self, scale: str, *args: str) -> pytest.RunResult:
        """Run the test in a process of its own, as syrupy keeps state of its own."""
        self.pytester.makepyfile(test_bowl=BOWL.replace("SCALE", scale))
        return self.pytester.runpytest_subprocess(*args)

    @property
    def files(self) -> list[Path]:
        """All stored files."""
        return sorted(p for p in self.pytester.path.rglob("*.gradient") if p.is_file())


def test_a_snapshot_is_stored_by_syrupy_and_compared_by_us(bowl: Bowl) -> None:
    """Rounding must pass where text would differ, and drift must fail and say what drifted."""
    bowl.run("1.0").assert_outcomes(failed=1)
    bowl.run("1.0", "--snapshot-update").assert_outcomes(passed=1)
    assert len(bowl.files) == 1
    stored = bowl.files[0].read_text(encoding="utf-8")
    assert '"schema": "gradcheck-baseline/1"' in stored
    bowl.run("1.0").assert_outcomes(passed=1)
    bowl.run("(1 + 1e-12)").assert_outcomes(passed=1)
    failed = bowl.run("1.001")
    failed.assert_outcomes(failed=1)
    failed.stdout.fnmatch_lines(["*drift [[]w]*relative distance 0.001*"])
    assert bowl.files[0].read_text(encoding="utf-8") == stored


def test_our_own_files_are_left_alone(bowl: Bowl) -> None:
    """The bridge must never write, and syrupy never delete, a baseline of the fixture."""
    ours = bowl.pytester.path / "__gradients__" / "test_bowl" / "test_other.json"
    ours.parent.mkdir(parents=True)
    ours.write_text("kept", encoding="utf-8")
    bowl.run("1.0", "--snapshot-update").assert_outcomes(passed=1)
    assert ours.read_text(encoding="utf-8") == "kept"


def test_a_gradient_that_is_not_finite_is_never_stored(bowl: Bowl) -> None:
    """NaN must fail with a reason, and leave no file."""
    result = bowl.run("float('nan')", "--snapshot-update")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*is not finite: it is never stored*"])
    assert bowl.files == []


def test_something_else_is_refused(pytester: pytest.Pytester) -> None:
    """A value that is no measurement must be refused, with what to write instead."""
    pytester.makepyfile("def test_one(grad_snapshot):\n    assert 1.0 == grad_snapshot\n")
    result = pytester.runpytest_subprocess("--snapshot-update")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*grad_snapshot compares measurements, not float*"])


def test_a_snapshot_of_another_plugin_is_refused(pytester: pytest.Pytester) -> None:
    """Where another plugin's fixture has the name, the message must say so."""
    pytester.makeconftest("import pytest\n@pytest.fixture\ndef snapshot():\n    return 1\n")
    pytester.makepyfile("def test_one(grad_snapshot):\n    pass\n")
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*the fixture 'snapshot' is a int of another plugin*"])
