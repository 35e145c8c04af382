"""What becomes of the numbers that a watcher wrote down."""

from __future__ import annotations

import math

import pytest

from pytest_gradcheck.series.gather import gather
from pytest_gradcheck.series.rows import LoggedRow, Notebook, StepRow


def notebook(*rows: dict[str, float], source: str = "optimizer0") -> Notebook:
    """Return a notebook with a row for each step of one optimizer."""
    steps = [StepRow(source=source, step=i, values=dict(row)) for i, row in enumerate(rows)]
    return Notebook(objective="Net", backend="torch", rows=steps)


def test_the_norm_is_that_of_all_parameters() -> None:
    """Norms of parameters must add up in squares, the core metrics first and in their order."""
    series = gather(notebook({"norm.a": 3.0, "norm.b": 4.0, "loss": 1.0, "lr": 0.1}))
    assert series["norm"].values == (5.0,)
    assert [metric.name for metric in series.metrics] == ["loss", "norm", "lr", "norm.a", "norm.b"]
    assert [metric.group for metric in series.metrics] == ["core"] * 3 + ["parameter"] * 2


@pytest.mark.parametrize(
    ("norms", "whole"),
    [
        ((math.nan, math.inf), math.nan),
        ((math.inf, 1.0), math.inf),
        ((1e200, 1e200), 2**0.5 * 1e200),
    ],
)
def test_norms_that_are_not_finite(norms: tuple[float, ...], whole: float) -> None:
    """NaN must win over Inf, and large norms must not overflow."""
    series = gather(notebook({f"norm.{i}": norm for i, norm in enumerate(norms)}))
    assert series["norm"].values == pytest.approx((whole,), nan_ok=True)


@pytest.mark.parametrize(("total", "clipped"), [(5.0, 1.0), (2.0, 0.0), (math.inf, 1.0)])
def test_clipping_by_norm(total: float, clipped: float) -> None:
    """Clipped is what was above the threshold, and what is left is what torch leaves."""
    row = {"norm.a": total, "clip.0.norm": 2.0, "clip.0.total": total}
    series = gather(notebook(row))
    assert series["clipped"].values == (clipped,)
    assert series["clip_threshold"].values == (2.0,)
    left = total * 2.0 / (total + 1e-6) if clipped and math.isfinite(total) else total
    if math.isfinite(total):
        assert series["applied_norm"].values == pytest.approx((left,))


def test_clipping_by_value() -> None:
    """The largest element decides, and the norm afterwards is the one that was seen."""
    row = {"norm.a": 5.0, "clip.0.value": 1.0, "clip.0.largest": 4.0, "applied": 1.5}
    series = gather(notebook(row))
    assert series["clipped"].values == (1.0,)
    assert series["applied_norm"].values == (1.5,)


def test_a_skipped_step_has_no_norm() -> None:
    """What overflowed and was not used must be counted, and enter nothing else."""
    series = gather(
        notebook(
            {"norm.a": 1.0, "skipped": 0.0, "loss_scale": 2.0},
            {"norm.a": math.inf, "skipped": 1.0, "loss_scale": 2.0},
        )
    )
    assert series["skipped"].values == (0.0, 1.0)
    assert series["norm"].steps == series["norm.a"].steps == (0,)
    assert series["loss_scale"].values == (2.0, 2.0)


def test_the_ratio_of_update_and_weight() -> None:
    """Weights that are all zero have no ratio."""
    series = gather(notebook({"weight": 4.0, "update": 1.0}, {"weight": 0.0, "update": 1.0}))
    assert (series["update_ratio"].steps, series["update_ratio"].values) == ((0,), (0.25,))


def test_two_optimizers_have_their_own_metrics() -> None:
    """With several, names must carry the optimizer's; with one, they must not."""
    book = notebook({"loss": 1.0, "norm.a": 1.0}, source="actor")
    assert "loss" in gather(book)
    book.rows.append(StepRow(source="critic", step=0, values={"loss": 2.0, "norm.a": 3.0}))
    series = gather(book)
    assert series["actor.loss"].values == (1.0,)
    assert series["critic.norm.a"].values == (3.0,)
    assert len(series.matching("loss")) == 2
    assert series.steps == 1


def test_the_logged_loss_is_preferred() -> None:
    """A loss that the loop logs itself must stand for the one that backward began with."""
    book = notebook({"loss": 1.0})
    book.logged.append(LoggedRow(group="logged", step=0, values={"loss": 7.0}))
    series = gather(book)
    assert series["loss"].values == (7.0,)
    assert len(series.matching("loss")) == 1


def test_the_last_number_of_a_step_counts() -> None:
    """What is logged twice in one step must have one value."""
    book = notebook({"loss": 1.0})
    book.logged += [LoggedRow(group="logged", step=0, values={"x": value}) for value in (1.0, 2.0)]
    assert gather(book)["x"].values == (2.0,)


def test_accumulation_shows_only_where_there_is_any() -> None:
    """One backward for each step is no news; one step with two is."""
    assert "backwards" not in gather(notebook({"backwards": 1.0}, {"backwards": 1.0}))
    assert gather(notebook({"backwards": 1.0}, {"backwards": 2.0}))["backwards"].values == (
        1.0,
        2.0,
    )


def test_the_reach_of_inputs() -> None:
    """The largest absolute value must be that of either end."""
    book = notebook({"loss": 1.0})
    book.logged.append(
        LoggedRow(group="scale", step=0, values={"input.min": -9.0, "input.max": 3.0})
    )
    assert gather(book)["input.max_abs"].values == (9.0,)
