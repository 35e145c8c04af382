"""The section at the end of a run, and the message of a failure, as a terminal shows them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.conftest import Suite

MANY = """
    NAME = "encoder.layers.{}.attention.projection.weight"
    GAIN = float(np.load("gain.npy"))

    def test_one(gradcheck):
        point = {NAME.format(i): np.array([1.0, 2.0 + i]) for i in range(60)}
        def value_and_grad(at):
            gains = [GAIN if i % 2 else 1.0 for i in range(60)]
            return GAIN, {k: g * (v + 1) for g, (k, v) in zip(gains, at.items())}
        gradcheck(point, value_and_grad=value_and_grad, perturb=False)
"""
ANSI = re.compile("\x1b\\[[0-9;]*m")


@pytest.fixture
def drifted(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> Suite:
    """Return a suite whose only test has drifted in half of its sixty parameters."""
    import numpy as np

    monkeypatch.setenv("COLUMNS", "80")
    np.save(suite.path / "gain.npy", 1.0)
    suite.write("test_m", MANY)
    suite.update().assert_outcomes(passed=1)
    np.save(suite.path / "gain.npy", 3.0)
    return suite


def test_a_message_fits_eighty_columns_and_forty_lines(drifted: Suite) -> None:
    """A failure must neither wrap at 80 columns nor flood the screen, and say what is hidden."""
    result = drifted.run("--color=no")
    lines = [line for line in result.outlines if line.startswith("E ")]
    assert len(lines) <= 40
    assert max(map(len, lines[1:])) <= 80
    text = "\n".join(lines)
    assert "more; -v shows all of them" in text
    assert re.search(r"  enc\w+\.\w+\.57\.\w+\.\w+\.weight  ", text)


def test_verbose_tells_all(drifted: Suite) -> None:
    """With -v every parameter must be there, its name whole."""
    result = drifted.run("-v", "--color=no")
    whole = r"encoder\.layers\.\d+\.attention\.projection\.weight  "
    names = re.findall(whole, str(result.stdout))
    assert len(set(names)) >= 30
    assert "-v shows all" not in str(result.stdout)


@pytest.mark.parametrize(("flag", "coloured"), [("--color=yes", True), ("--color=no", False)])
def test_colours_are_those_of_pytest(drifted: Suite, flag: str, *, coloured: bool) -> None:
    """The section must have colours exactly where pytest has them."""
    result = drifted.run(flag)
    line = next(one for one in result.outlines if "1 checked" in one)
    assert bool(ANSI.search(line)) is coloured
