"""``--grad-baseline-prune``: deletes what no test uses, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.conftest import Suite

TWO = """
    @pytest.mark.parametrize("n", [1, 2])
    def test_one(gradcheck, n):
        gradcheck(W, value_and_grad=bowl(n))

    def test_two(gradcheck):
        gradcheck(W, value_and_grad=bowl())
"""
ONE = """
    @pytest.mark.parametrize("n", [1])
    def test_one(gradcheck, n):
        gradcheck(W, value_and_grad=bowl(n))
"""
FILE = "__gradients__/test_m/test_one.json"
GONE = "__gradients__/test_m/test_two.json"


@pytest.fixture
def shrunk(suite: Suite) -> Suite:
    """Return a suite that lost a parameter and a function since its baselines were recorded."""
    suite.write("test_m", TWO)
    suite.write("test_n", TWO)
    suite.update().assert_outcomes(passed=6)
    suite.write("test_m", ONE)
    return suite


@pytest.mark.parametrize("workers", [0, 2])
def test_unused_entries_are_listed(shrunk: Suite, workers: int) -> None:
    """A run that can know must list the unused entries, keep them, and pass."""
    before = shrunk.baselines()
    result = shrunk.run(workers=workers)
    assert result.ret == 0
    assert "2 unused" in shrunk.said(result)
    assert f"{FILE}: test_one[2] {GONE}: test_two" in shrunk.said(result)
    assert shrunk.baselines() == before


@pytest.mark.parametrize("workers", [0, 2])
def test_unused_entries_are_deleted_on_request(shrunk: Suite, workers: int) -> None:
    """Pruning must delete exactly the unused entries, and files that it empties."""
    before = shrunk.baselines()
    result = shrunk.run("--grad-baseline-prune", workers=workers)
    after = shrunk.baselines()
    assert result.ret == 0
    assert "2 pruned" in shrunk.said(result)
    assert "unused, delete" not in shrunk.said(result)
    assert set(before) - set(after) == {GONE}
    assert b"test_one[2]" not in after[FILE]
    assert {k: v for k, v in after.items() if k != FILE} == {
        k: v for k, v in before.items() if k not in {FILE, GONE}
    }
    shrunk.run().assert_outcomes(passed=4)


def test_an_update_never_deletes(shrunk: Suite) -> None:
    """Without the flag for it, an update must list what is unused and keep it."""
    before = shrunk.baselines()
    result = shrunk.update()
    assert "2 unused" in shrunk.said(result)
    assert shrunk.baselines() == before


def test_update_and_prune_go_together(shrunk: Suite) -> None:
    """One run may record what is new and delete what is unused."""
    shrunk.write("test_m", ONE.replace("test_one", "test_three"))
    result = shrunk.update("--grad-baseline-prune")
    assert "1 recorded, 3 pruned" in shrunk.said(result)
    assert "__gradients__/test_m/test_three.json" in shrunk.baselines()
    assert FILE not in shrunk.baselines()


def test_the_files_of_a_deleted_module_are_unused(shrunk: Suite) -> None:
    """When a test module is gone, a run over its folder must know that its files are unused."""
    (shrunk.path / "test_n.py").unlink()
    result = shrunk.run("--grad-baseline-prune")
    assert "5 pruned" in shrunk.said(result)
    assert list(shrunk.baselines()) == [FILE]
    assert not (shrunk.path / "__gradients__" / "test_n").exists()


def test_a_run_over_one_module_judges_only_its_files(shrunk: Suite) -> None:
    """A path given as argument must bound what is called unused."""
    before = shrunk.baselines()
    result = shrunk.run("test_n.py", "--grad-baseline-prune")
    assert "pruned" not in shrunk.said(result)
    assert shrunk.baselines() == before
    result = shrunk.run("test_m.py", "--grad-baseline-prune")
    assert "2 pruned" in shrunk.said(result)


def test_a_run_over_one_folder_judges_only_its_files(shrunk: Suite) -> None:
    """A folder given as argument must bound what is called unused."""
    shrunk.write("sub/test_k", ONE)
    shrunk.update("sub")
    before = shrunk.baselines()
    result = shrunk.run("sub", "--grad-baseline-prune")
    assert "pruned" not in shrunk.said(result)
    assert shrunk.baselines() == before


def test_a_module_that_was_not_collected_keeps_its_files(shrunk: Suite) -> None:
    """A module that is there and was not collected must keep its files, whatever kept it out."""
    before = shrunk.baselines()
    shrunk.write("conftest", "collect_ignore = ['test_m.py']")
    result = shrunk.run("--grad-baseline-prune")
    assert "pruned" not in shrunk.said(result)
    assert shrunk.baselines() == before


def test_the_files_of_other_variants_are_kept(shrunk: Suite) -> None:
    """A run with one variant must not judge the files of another, nor of the plain one."""
    shrunk.write("test_m", TWO)
    shrunk.update("--grad-variant=gpu")
    shrunk.write("test_m", ONE)
    before = shrunk.baselines()
    result = shrunk.run("--grad-variant=gpu", "--grad-baseline-prune")
    assert "2 pruned" in shrunk.said(result)
    gone = set(before) - set(shrunk.baselines())
    assert gone == {"__gradients__/test_m/test_two@gpu.json"}


def test_an_unreadable_file_is_kept(shrunk: Suite) -> None:
    """A file that cannot be read must not be judged, let alone deleted."""
    (shrunk.path / GONE).write_text("<<<<<<< ours\n", encoding="utf-8")
    result = shrunk.run("--grad-baseline-prune")
    assert "1 pruned" in shrunk.said(result)
    assert (shrunk.path / GONE).read_text(encoding="utf-8") == "<<<<<<< ours\n"


def test_nothing_is_unused_when_no_test_was_found(shrunk: Suite) -> None:
    """A run without tests must prune nothing, whatever lies about."""
    for name in ("test_m", "test_n"):
        (shrunk.path / f"{name}.py").unlink()
    before = shrunk.baselines()
    result = shrunk.run("--grad-baseline-prune")
    assert "cannot know: no test was selected" in shrunk.said(result)
    assert shrunk.baselines() == before


def test_a_project_that_lost_all_its_checks_can_be_pruned(shrunk: Suite) -> None:
    """When the tests are left and none checks gradients any more, all files must be unused."""
    for name in ("test_m", "test_n"):
        shrunk.write(name, "def test_one():\n    pass\n")
    result = shrunk.run("--grad-baseline-prune")
    assert "6 pruned" in shrunk.said(result)
    assert shrunk.baselines() == {}


@pytest.mark.parametrize("plugin", ["splits", "num_shards"])
def test_a_shard_prunes_nothing(shrunk: Suite, plugin: str) -> None:
    """A run that is one shard of several must know that it cannot know."""
    flag = f"--{plugin.replace('_', '-')}"
    shrunk.write(
        "conftest",
        f"def pytest_addoption(parser):\n    parser.addoption('{flag}', type=int, default=1)\n",
    )
    before = shrunk.baselines()
    result = shrunk.run("--grad-baseline-prune", f"{flag}=2")
    assert f"this run is one shard of several ({flag})" in shrunk.said(result)
    assert shrunk.baselines() == before
    assert "2 pruned" in shrunk.said(shrunk.run("--grad-baseline-prune", f"{flag}=1"))


def test_a_test_that_made_no_reports_keeps_its_files(shrunk: Suite) -> None:
    """A run that only sets tests up must prune nothing."""
    before = shrunk.baselines()
    result = shrunk.run("--grad-baseline-prune", "--setup-only")
    assert "4 tests did not finish" in shrunk.said(result)
    assert shrunk.baselines() == before


def test_collecting_alone_prunes_nothing(shrunk: Suite) -> None:
    """A run that only collects must prune nothing."""
    before = shrunk.baselines()
    result = shrunk.run("--grad-baseline-prune", "--collect-only")
    assert "4 tests never ran" in shrunk.said(result)
    assert shrunk.baselines() == before


def test_a_run_with_another_bad_end_prunes_nothing(shrunk: Suite) -> None:
    """When something else ended the run badly, pruning must be refused."""
    shrunk.write(
        "conftest",
        """
        @pytest.hookimpl(tryfirst=True)
        def pytest_sessionfinish(session):
            session.exitstatus = 1

        @pytest.hookimpl(wrapper=True)
        def pytest_runtestloop(session):
            yield
            session.testsfailed = 1
            return True
        """,
    )
    before = shrunk.baselines()
    result = shrunk.run("--grad-baseline-prune")
    assert "the run ended with status 1" in shrunk.said(result)
    assert shrunk.baselines() == before


def test_an_argument_that_is_no_path_prunes_nothing(shrunk: Suite) -> None:
    """A package name as argument must be something the run says it cannot judge."""
    before = shrunk.baselines()
    result = shrunk.run("--pyargs", "test_m", "--grad-baseline-prune")
    assert "the argument test_m is no path" in shrunk.said(result)
    assert shrunk.baselines() == before


def test_a_file_that_cannot_be_deleted_fails_the_run(
    shrunk: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a file resists, the run must fail and say why."""
    from pathlib import Path

    def refuse(self: Path, *, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    result = shrunk.run("--grad-baseline-prune", "-p", "no:cacheprovider")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "test_two.json cannot be deleted: Permission denied" in shrunk.said(result)
    assert GONE in shrunk.baselines()


def test_pruning_without_baselines_is_refused(suite: Suite) -> None:
    """The mode ``off`` reads no baselines, so none can be called unused."""
    result = suite.run("--grad-baseline=off", "--grad-baseline-prune")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines("ERROR: --grad-baseline-prune contradicts --grad-baseline=off*")
