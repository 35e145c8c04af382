"""``--grad-baseline``: which baselines a run reads and writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.conftest import Suite

ONE = """
    def test_one(gradcheck):
        gradcheck(W, value_and_grad=bowl())
"""
DRIFTED = ONE.replace("bowl()", "bowl(sign=-1.0)")
ONE_FILE = ["__gradients__/test_m/test_one.json"]


def test_a_missing_baseline_fails_with_the_command_that_records_it(suite: Suite) -> None:
    """Nothing may be created silently: the failure must hold the command to type."""
    suite.write("test_m", ONE)
    result = suite.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*no entry 'test_one' in __gradients__/test_m/test_one.json*",
            "*record it with: pytest test_m.py::test_one --grad-baseline-update",
        ]
    )
    assert suite.baselines() == {}


def test_the_command_fits_the_folder_and_the_shell(suite: Suite) -> None:
    """From another folder, and with parameters, the command must still be what to type."""
    suite.write(
        "sub/test_m",
        """
        @pytest.mark.parametrize("kind", ["a b"])
        def test_one(gradcheck, kind):
            gradcheck(W, value_and_grad=bowl())
        """,
    )
    suite.pytester.chdir()
    result = suite.run("sub", "--grad-variant=gpu")
    result.stdout.fnmatch_lines(
        "*pytest 'sub/test_m.py::test_one[[]a b]' --grad-baseline-update --grad-variant=gpu"
    )


def test_an_update_records_and_the_next_run_passes(suite: Suite) -> None:
    """What an update recorded must hold in the next run, which writes nothing."""
    suite.write("test_m", ONE)
    result = suite.update()
    assert "1 checked, 1 recorded" in suite.said(result)
    before = suite.baselines()
    assert list(before) == ONE_FILE
    result = suite.run()
    result.assert_outcomes(passed=1)
    assert "recorded" not in suite.said(result)
    assert suite.baselines() == before


def test_drift_fails_and_an_update_accepts_it(suite: Suite) -> None:
    """A changed gradient must fail, name the parameter, and pass once it is accepted."""
    suite.write("test_m", ONE)
    suite.update()
    before = suite.baselines()
    suite.write("test_m", DRIFTED)
    result = suite.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*drift*baseline -> now*", "*--grad-baseline-update*"])
    assert suite.baselines() == before
    result = suite.update()
    result.assert_outcomes(passed=1)
    assert "1 drifted, 1 recorded" in suite.said(result)
    assert "walked 1.98 from the entry it replaces" in suite.said(result)
    after = suite.baselines()
    changed = [
        (old, new)
        for old, new in zip(
            before[ONE_FILE[0]].splitlines(), after[ONE_FILE[0]].splitlines(), strict=True
        )
        if old != new
    ]
    header, numbers, sketch = (new for _, new in changed)
    assert b'"walked": 1.98' in header
    assert b'"norm"' in numbers
    assert b'"sketch"' in sketch
    suite.run().assert_outcomes(passed=1)


def test_an_update_leaves_what_is_within_its_allowance(suite: Suite) -> None:
    """Noise must not change a file, even when other entries of it are re-recorded."""
    source = """
        @pytest.mark.parametrize("n", [1, 2])
        def test_one(gradcheck, n):
            scale = {1: FIRST, 2: SECOND}[n]
            gradcheck(W, value_and_grad=bowl(scale), perturb=False)
    """
    suite.write("test_m", source.replace("FIRST", "1.0").replace("SECOND", "1.0"))
    suite.update()
    before = suite.baselines()
    suite.write("test_m", source.replace("FIRST", "1.0 + 1e-12").replace("SECOND", "1.0"))
    suite.update().assert_outcomes(passed=2)
    assert suite.baselines() == before
    suite.write("test_m", source.replace("FIRST", "1.0 + 1e-12").replace("SECOND", "3.0"))
    suite.update().assert_outcomes(passed=2)
    first = before[ONE_FILE[0]].split(b'"test_one[2]"')[0]
    assert suite.baselines()[ONE_FILE[0]].startswith(first)
    assert suite.baselines() != before


def test_a_starting_point_that_moved_is_told(suite: Suite) -> None:
    """When other values start where the gradient and the loss are the same, the run must say so."""
    source = """
        def test_one(gradcheck):
            slope = np.array([1.0, 1.0])
            plane = lambda p: (float(slope @ p["w"]), {"w": slope})
            gradcheck({"w": np.array([START])}, value_and_grad=plane, perturb=False)
    """
    suite.write("test_m", source.replace("START", "1.0, 2.0"))
    suite.update()
    before = suite.baselines()
    suite.write("test_m", source.replace("START", "2.0, 1.0"))
    result = suite.update()
    result.assert_outcomes(passed=1)
    expected = "test_m.py::test_one: the starting point moved (w), the gradient did not"
    assert expected in suite.said(result)
    assert suite.baselines() == before


def test_a_baseline_that_would_see_nothing_says_so(suite: Suite) -> None:
    """A loss that is another one each time has a noise that hides all: recording must tell."""
    source = """
        count = [0]

        def unlike(point):
            count[0] += 1
            value, grads = bowl(float(count[0]))(point)
            return value, grads

        def test_one(gradcheck):
            gradcheck(W, value_and_grad=unlike)
    """
    suite.write("test_m", source)
    said = suite.said(suite.update())
    assert "which is next to none: does the loss draw what no seed reaches, or keep state?" in said
    suite.write("test_m", ONE)
    assert "next to none" not in suite.said(suite.update())


def test_new_records_only_what_is_missing(suite: Suite) -> None:
    """The mode ``new`` must record a new test and still fail a drifted one."""
    suite.write("test_m", ONE)
    suite.update()
    before = suite.baselines()
    suite.write("test_m", DRIFTED)
    suite.write("test_n", ONE)
    result = suite.run("--grad-baseline=new")
    result.assert_outcomes(passed=1, failed=1)
    after = suite.baselines()
    assert after.pop("__gradients__/test_n/test_one.json")
    assert after == before


def test_rewrite_records_everything_again(suite: Suite) -> None:
    """The mode ``rewrite`` must also record what is within its allowance."""
    suite.write("test_m", ONE)
    suite.update()
    before = suite.baselines()
    suite.write("test_m", ONE.replace("bowl()", "bowl(1.0 + 1e-12)"))
    result = suite.run("--grad-baseline=rewrite")
    result.assert_outcomes(passed=1)
    assert "1 checked, 1 recorded" in suite.said(result)
    assert "drifted" not in suite.said(result)
    assert suite.baselines() != before


def test_rewrite_says_what_drifted(suite: Suite) -> None:
    """Drift must be told in the mode ``rewrite`` too, though nothing fails."""
    suite.write("test_m", ONE)
    suite.update()
    suite.write("test_m", DRIFTED)
    result = suite.run("--grad-baseline=rewrite")
    assert "1 drifted, 1 recorded" in suite.said(result)


def test_off_neither_reads_nor_writes(suite: Suite) -> None:
    """The mode ``off`` must judge all but drift, even beside an unreadable file."""
    suite.write("test_m", ONE)
    suite.update()
    (suite.path / ONE_FILE[0]).write_text("{", encoding="utf-8")
    result = suite.run("--grad-baseline=off")
    result.assert_outcomes(passed=1)
    assert "unreadable" not in suite.said(result)
    suite.write("test_m", ONE.replace("bowl()", "bowl(), max_norm=1e-3"))
    suite.run("--grad-baseline=off").assert_outcomes(failed=1)


def test_a_test_can_do_without_a_baseline(suite: Suite) -> None:
    """With the limit ``drift`` off, a call must need no baseline and record none."""
    suite.write("test_m", ONE.replace("bowl()", "bowl(), drift=False"))
    suite.run().assert_outcomes(passed=1)
    suite.update().assert_outcomes(passed=1)
    assert suite.baselines() == {}


@pytest.mark.parametrize("mode", ["check", "new", "rewrite", "off"])
def test_two_flags_that_contradict_each_other_are_refused(suite: Suite, mode: str) -> None:
    """No test may run when the flags do not agree on what to do."""
    suite.write("test_m", ONE)
    result = suite.update(f"--grad-baseline={mode}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        f"ERROR: --grad-baseline-update contradicts --grad-baseline={mode}*"
    )
    assert "passed" not in result.stdout.str()


def test_two_flags_that_say_the_same_are_accepted(suite: Suite) -> None:
    """The short flag and the mode it stands for may be given together."""
    suite.write("test_m", ONE)
    suite.update("--grad-baseline=update").assert_outcomes(passed=1)


def test_an_unknown_mode_is_refused(suite: Suite) -> None:
    """A mistyped mode must stop the run with the known ones."""
    result = suite.run("--grad-baseline=upd")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines("*--grad-baseline*check*rewrite*")


def test_the_flag_takes_no_value(suite: Suite) -> None:
    """The argument after ``--grad-baseline-update`` must stay what it is, a path."""
    suite.write("sub/test_m", ONE)
    suite.update("sub").assert_outcomes(passed=1)


@pytest.mark.parametrize(("ci", "told"), [("true", True), ("0", False), ("", False)])
def test_an_update_on_a_ci_machine_is_announced(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, ci: str, *, told: bool
) -> None:
    """An update where ``CI`` is set must be done, and said."""
    monkeypatch.setenv("CI", ci)
    suite.write("test_m", ONE)
    result = suite.update()
    assert list(suite.baselines()) == ONE_FILE
    assert ("CI is set" in suite.said(result)) == told


def test_parameters_classes_and_calls_share_the_file_of_their_function(suite: Suite) -> None:
    """All entries of one function name must lie in one file, under keys that tell them apart."""
    suite.write(
        "test_m",
        """
        @pytest.mark.parametrize("n", [1, 2])
        def test_one(gradcheck, n):
            gradcheck(W, value_and_grad=bowl(n))

        class TestA:
            class TestB:
                def test_one(self, gradcheck):
                    gradcheck(W, value_and_grad=bowl(), name="first")
                    gradcheck(W, value_and_grad=bowl())
                    gradcheck(W, value_and_grad=bowl())
        """,
    )
    suite.update().assert_outcomes(passed=3)
    text = suite.baselines()[ONE_FILE[0]].decode()
    assert list(suite.baselines()) == ONE_FILE
    keys = ["test_one[1]", "test_one[2]", "::first", "::2"]
    assert [f'{key}": {{' in text for key in keys] == [True] * 4
    assert '"TestA::TestB::test_one": {' in text
    suite.run().assert_outcomes(passed=3)
