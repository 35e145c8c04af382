"""Baselines of one process hold for every way in which a model is distributed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from pytest_gradcheck import RankError, RankPool
from tests.ranks import jobs
from tests.ranks.jobs import Case

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_gradcheck import Measurement

# 4 ranks, rows of 5 and 3: some ranks hold more than others, and some hold nothing.
WAYS = [
    ("ddp", 2),
    ("ddp", 4),
    ("fsdp", 2),
    ("fsdp", 4),
    ("columns", 2),
    ("columns", 4),
    ("hybrid", 4),
]


@pytest.fixture(scope="module")
def pool() -> Iterator[RankPool]:
    """Return four processes that import torch once."""
    with RankPool(4, timeout=60.0) as pool:
        yield pool


@pytest.fixture(scope="module")
def baseline() -> Measurement:
    """Return the baseline of one process."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    measurement = jobs.alone(Case(components=True))
    torch.set_num_threads(threads)
    return measurement


def failures(said: list[tuple[str, str, list[str]]]) -> dict[str, str]:
    """Return the failed checks with what they say."""
    return {check: "\n".join(lines) for check, outcome, lines in said if outcome == "failed"}


@pytest.mark.parametrize(("how", "ranks"), WAYS)
def test_a_baseline_of_one_process_holds(
    pool: RankPool, baseline: Measurement, how: str, ranks: int
) -> None:
    """However a model is distributed, every rank must find the gradient of the baseline."""
    case = Case(how=how, components=True, fault="numeric" if ranks == 2 else "")
    for said in pool.run(jobs.check, case, baseline, ranks=ranks):
        assert failures(said) == {}
        checks = {check for check, outcome, _ in said if outcome == "passed"}
        assert {"ranks", "drift", "perturb"} <= checks
        assert ("numeric" in checks) == (ranks == 2)


@pytest.mark.parametrize(("how", "ranks"), WAYS)
def test_the_statistics_are_those_of_one_process(
    pool: RankPool, baseline: Measurement, how: str, ranks: int
) -> None:
    """Counts and places must be equal, sums equal but for rounding, and the same on all ranks."""
    found = pool.run(jobs.measure, Case(how=how, components=True), ranks=ranks)
    assert all(m.native == found[0].native and m.point == found[0].point for m in found)
    now, was = found[0].native, baseline.native
    assert now.value == pytest.approx(was.value, rel=1e-6)
    for a, b in zip(now.parameters, was.parameters, strict=True):
        assert (a.name, a.shape, a.dtype, a.zeros) == (b.name, b.shape, b.dtype, b.zeros)
        assert (a.norm, a.max_abs) == pytest.approx((b.norm, b.max_abs), rel=1e-5)
        assert a.mean == pytest.approx(b.mean, rel=1e-4, abs=1e-8)
        assert [e.index for e in a.top] == [e.index for e in b.top]
        assert a.sketch
        assert b.sketch
        assert a.sketch.values == pytest.approx(b.sketch.values, rel=1e-4, abs=1e-6)
    for c, d in zip(now.components, was.components, strict=True):
        assert (c.value, c.norm, c.share) == pytest.approx((d.value, d.norm, d.share), rel=1e-5)
        assert c.cosines == pytest.approx(d.cosines, rel=1e-5)
    for s, t in zip(found[0].point.sketches, baseline.point.sketches, strict=True):
        assert s.values == pytest.approx(t.values, rel=1e-12, abs=1e-12)


def test_a_baseline_of_many_ranks_holds_on_one(pool: RankPool, baseline: Measurement) -> None:
    """What several ranks recorded must hold for one process, in float64 where ranks had it."""
    from pytest_gradcheck import check_gradients

    recorded = pool.run(jobs.record, Case(how="ddp", components=True), ranks=2)
    assert recorded[0].allowances == recorded[1].allowances
    assert recorded[0].shadow_allowances
    verdict = check_gradients(
        *jobs.build(Case(components=True)), baseline=recorded[0], **jobs.LIMITS
    )
    assert verdict.passed


def test_shards_say_that_they_have_no_float64(pool: RankPool) -> None:
    """Where no float64 gradient can be had, the measurement must say so."""
    (measurement, _) = pool.run(jobs.record, Case(how="fsdp"), ranks=2)
    assert measurement.shadow is None
    assert measurement.allowances
    (note,) = [n for n in measurement.notes if "no float64 shadow" in n]
    assert "is sharded (fully_shard)" in note


@pytest.mark.parametrize("how", ["ddp", "fsdp"])
def test_everything_comes_back(pool: RankPool, how: str) -> None:
    """A measurement must leave every rank's gradients, values, buffers and streams as they were."""
    assert pool.run(jobs.user_state, Case(how=how, normed=how == "ddp"), ranks=2) == [True, True]


@pytest.mark.parametrize("how", ["ddp", "fsdp"])
def test_a_gradient_takes_one_exchange(pool: RankPool, how: str) -> None:
    """Whatever is to be known of a gradient must travel in one operation, on every rank."""
    expected = {"gradient": 1, "sample": 1, "point": 1, "step": 1}
    if how == "ddp":
        expected["float64"] = 2  # which parameters are reached, and the gradients themselves
    for found in pool.run(jobs.exchanges, Case(how=how, components=True), ranks=2):
        assert found == expected


def test_float64_leaves_the_all_reduce_in_place(pool: RankPool) -> None:
    """Parameters that were float64 for a while must still have their gradients exchanged."""
    for before, after in pool.run(jobs.around_float64, ranks=2):
        assert before == after
        assert after.disagreements == ()


@pytest.mark.parametrize("how", ["ddp", "fsdp"])
def test_training_goes_on_as_before(pool: RankPool, how: str) -> None:
    """Training with measurements in between must give the same losses as without."""
    plain = pool.run(jobs.trains, Case(how=how), ranks=2)
    assert pool.run(jobs.trains, Case(how=how, fault="measured"), ranks=2) == plain


@pytest.mark.parametrize("fault", ["no_sync", "left out"])
def test_a_missed_all_reduce_names_the_rank(pool: RankPool, fault: str) -> None:
    """When gradients are not exchanged, the ranks that differ must be named."""
    for said in pool.run(jobs.check, Case(how="ddp", fault=fault), alone_plain(), ranks=2):
        text = failures(said)["ranks"]
        assert text.startswith("rank 1: gradient of '0.weight' has norm ")
        assert "on rank 0" in text
        assert ("(and 2 more)" in text) == (fault == "no_sync")


def test_a_sum_over_ranks_is_called_so(pool: RankPool) -> None:
    """A gradient multiplied by the number of ranks must be found, and explained."""
    for how in ("ddp", "fsdp"):
        said = pool.run(jobs.check, Case(how=how, fault="summed"), alone_plain(), ranks=4)[0]
        text = failures(said)
        assert set(text) == {"drift"}
        assert "every gradient is scaled by 4, and so is the loss: the number of ranks" in " ".join(
            text["drift"].split()
        )


def test_micro_batches_that_are_summed_are_found(pool: RankPool) -> None:
    """Gradients of micro-batches that are added up and not averaged must be found."""
    case = Case(how="ddp", fault="micro-batches")
    assert (
        "every gradient is scaled by 2"
        in failures(pool.run(jobs.check, case, alone_plain(), ranks=4)[0])["drift"]
    )


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("one rank scaled", "along what rank 1 adds: its loss scaled by 1.01?"),
        ("same data", "add the same to the gradient: do they see the same data"),
        ("silent", "rank 1 adds nothing to the gradient: no data there, or a detached loss?"),
    ],
)
@pytest.mark.parametrize(("how", "ranks"), [("ddp", 2), ("ddp", 4), ("fsdp", 2), ("hybrid", 4)])
def test_a_fault_in_one_rank_names_it(
    pool: RankPool, how: str, ranks: int, fault: str, said: str
) -> None:
    """A fault that the all-reduce spreads over all ranks must be traced to the one it is of."""
    for one in pool.run(jobs.check, Case(how=how, fault=fault), alone_plain(), ranks=ranks):
        assert said in failures(one)["drift"]


def test_batch_norm_that_is_not_synchronised_is_called_so(pool: RankPool) -> None:
    """Statistics of each rank's own batch must fail, and be named as the cause."""
    baseline = jobs.alone(Case(normed=True))
    said = pool.run(jobs.check, Case(how="ddp", normed=True), baseline, ranks=2)[0]
    text = failures(said)["drift"]
    assert "BatchNorm1d in training mode normalises over the batch of each of the 2 ranks" in text


def test_a_loss_that_is_nan_on_one_rank_names_it(pool: RankPool) -> None:
    """NaN spreads to all gradients; the rank that it came from must be named."""
    for how in ("ddp", "fsdp"):
        said = pool.run(jobs.check, Case(how=how, fault="nan"), alone_plain(), ranks=2)[0]
        text = failures(said)
        assert "rank 1: loss nan, finite on the other ranks" in text["ranks"]
        assert "finite" in text


def test_a_rank_that_raises_stops_the_others(pool: RankPool) -> None:
    """An error on one rank must end the others with that error's text, and at once."""
    with pytest.raises(RankError) as caught:
        pool.run(jobs.measure, Case(how="ddp", fault="raises"), ranks=4)
    text = str(caught.value)
    assert text.startswith("rank 1 of 4 failed (as did rank 0, 2, 3)")
    assert "ValueError: no data here" in text


def test_a_rank_that_measures_something_else_is_named(pool: RankPool) -> None:
    """Ranks that do not measure the same parameters must be told so."""
    with pytest.raises(RankError, match="measures something else than rank"):
        pool.run(jobs.differs, ranks=2)


def alone_plain() -> Measurement:
    """Return the baseline of one process for the plain loss."""
    return jobs.alone(Case())
