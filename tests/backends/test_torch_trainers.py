"""Trainers that own the loop: PyTorch Lightning and Accelerate, watched from outside."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from pytest_gradcheck.watching import observed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_gradcheck.records import Series

ROWS, BATCH = 48, 8


def data() -> DataLoader[Any]:
    """Return six batches of a linear problem, always in the same order."""
    torch.manual_seed(0)
    x = torch.randn(ROWS, 4)
    return DataLoader(TensorDataset(x, x[:, :1]), batch_size=BATCH)


def network() -> nn.Module:
    """Return a small network."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))


def by_hand(*, accumulate: int = 1, clip: float | None = None) -> Series:
    """Return what is seen of the same training as a plain loop."""
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with observed(model) as run:
        for i, (x, y) in enumerate(data()):
            (nn.functional.mse_loss(model(x), y) / accumulate).backward()
            if (i + 1) % accumulate == 0:
                if clip is not None:
                    nn.utils.clip_grad_norm_(model.parameters(), clip)
                optimizer.step()
                optimizer.zero_grad()
    return run.series


def same(one: Series, other: Series) -> None:
    """Check that two loops were seen to do the same: bit for bit, but for names of parameters."""
    for name in ("loss", "norm", "clipped", "clip_threshold", "update_ratio", "lr", "backwards"):
        assert (name in one) == (name in other), name
        if name in one:
            assert one[name].values == pytest.approx(other[name].values, rel=1e-6), name


@pytest.fixture
def lightning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return PyTorch Lightning, quiet, in a folder of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = pytest.importorskip("pytorch_lightning", reason="pip install pytorch-lightning")
        logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
        monkeypatch.chdir(tmp_path)
        yield module


@pytest.fixture
def accelerate() -> Iterator[Any]:
    """Return Accelerate, its state as if it were new."""
    module = pytest.importorskip("accelerate", reason="pip install accelerate")
    from accelerate.state import AcceleratorState, GradientState, PartialState

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield module
    for state in (AcceleratorState, GradientState, PartialState):
        state._reset_state()


def fitted(lightning: Any, module: nn.Module, **options: Any) -> None:
    """Have a trainer train a module for one epoch."""
    trainer = lightning.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )
    trainer.fit(module, data())


def regression(lightning: Any) -> Any:
    """Return a Lightning module of the plain loop's model."""

    class Regression(lightning.LightningModule):
        """Fit a line."""

        def __init__(self) -> None:
            """Keep the network."""
            super().__init__()
            self.network = network()

        def training_step(self, batch: Any, _: int) -> torch.Tensor:
            """Return the loss of a batch."""
            x, y = batch
            return nn.functional.mse_loss(self.network(x), y)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            """Return the optimizer."""
            return torch.optim.SGD(self.parameters(), lr=0.1)

    return Regression()


@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_lightning_trainer(lightning: Any, accumulate: int) -> None:
    """A trainer must be seen to do what the plain loop does, accumulation and clipping included."""
    module = regression(lightning)
    with observed(module) as run:
        options = {"accumulate_grad_batches": accumulate, "gradient_clip_val": 0.1}
        fitted(lightning, module, **options)
    assert run.series.steps == ROWS // BATCH // accumulate
    same(run.series, by_hand(accumulate=accumulate, clip=0.1))
    assert set(run.series["clipped"].values) == {1.0}
    assert run.series["input.max"].values[0] == pytest.approx(data().dataset.tensors[0][:8].max())  # type: ignore[attr-defined]


def test_lightning_with_two_optimizers(lightning: Any) -> None:
    """Each optimizer of a module that steps them itself must have its own loss and norm."""

    class Two(lightning.LightningModule):
        """Train two networks, one of them with a loss ten times the other's."""

        def __init__(self) -> None:
            """Keep the networks."""
            super().__init__()
            self.automatic_optimization = False
            self.actor, self.critic = network(), network()

        def training_step(self, batch: Any, _: int) -> None:
            """Step both."""
            x, y = batch
            pairs = zip((self.actor, self.critic), self.optimizers(), (1.0, 10.0), strict=True)
            for part, optimizer, factor in pairs:
                loss = factor * nn.functional.mse_loss(part(x), y)
                optimizer.zero_grad()
                self.manual_backward(loss)
                self.clip_gradients(optimizer, 100.0, "norm")
                optimizer.step()

        def configure_optimizers(self) -> list[torch.optim.Optimizer]:
            """Return both."""
            parts = (self.actor, self.critic)
            return [torch.optim.SGD(part.parameters(), lr=0.01) for part in parts]

    module = Two()
    with observed(module) as run:
        fitted(lightning, module)
    series = run.series
    assert series.steps == ROWS // BATCH
    first = [series[f"optimizer{i}.loss"].values[0] for i in (0, 1)]
    assert first[1] == pytest.approx(10 * first[0])
    norms = [series[f"optimizer{i}.norm"].values[0] for i in (0, 1)]
    assert norms[1] == pytest.approx(10 * norms[0], rel=1e-5)
    assert set(series["optimizer1.clipped"].values) == {0.0}
    assert "optimizer0.norm.actor.0.weight" in series


@pytest.mark.parametrize("accumulate", [1, 3])
def test_an_accelerate_loop(accelerate: Any, accumulate: int) -> None:
    """A loop by Accelerate must be seen to do what the plain one does, clipped by its own means."""
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=accumulate)
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model, optimizer, batches = accelerator.prepare(model, optimizer, data())
    with observed(model, optimizer=optimizer) as run:
        for x, y in batches:
            with accelerator.accumulate(model):
                accelerator.backward(nn.functional.mse_loss(model(x), y))
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(model.parameters(), 0.1)
                optimizer.step()
                optimizer.zero_grad()
    assert run.series.steps == ROWS // BATCH // accumulate
    same(run.series, by_hand(accumulate=accumulate, clip=0.1))


def test_accelerate_clips_by_value(accelerate: Any) -> None:
    """Clipping by value through Accelerate must be seen with its threshold."""
    accelerator = accelerate.Accelerator(cpu=True)
    model = network()
    model, optimizer = accelerator.prepare(model, torch.optim.SGD(model.parameters(), lr=0.1))
    with observed(model) as run:
        for x, y in data():
            accelerator.backward(nn.functional.mse_loss(model(x), y))
            accelerator.clip_grad_value_(model.parameters(), 1e-3)
            optimizer.step()
            optimizer.zero_grad()
    assert set(run.series["clip_threshold"].values) == {1e-3}
    assert set(run.series["clipped"].values) == {1.0}
    assert run.series["norm"].values[0] > 10 * run.series["applied_norm"].values[0]


def test_accelerate_with_two_optimizers(accelerate: Any) -> None:
    """Wrapped optimizers must be known by the names that they are given."""
    accelerator = accelerate.Accelerator(cpu=True)
    parts = accelerator.prepare(network(), network())
    optimizers = accelerator.prepare(*(torch.optim.SGD(p.parameters(), lr=0.1) for p in parts))
    named = dict(zip(("actor", "critic"), optimizers, strict=True))
    with observed(optimizer=named) as run:
        for x, y in data():
            for part, optimizer, factor in zip(parts, optimizers, (1.0, 10.0), strict=True):
                accelerator.backward(factor * nn.functional.mse_loss(part(x), y))
                optimizer.step()
                optimizer.zero_grad()
    first = [run.series[f"{name}.loss"].values[0] for name in named]
    assert first[1] == pytest.approx(10 * first[0])
    assert run.series.steps == ROWS // BATCH


def test_accelerate_skips_a_step_that_overflows(accelerate: Any) -> None:
    """A step that the scaler skips must count as skipped, and have no norm."""
    accelerator = accelerate.Accelerator(cpu=True)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    accelerator.scaler = scaler
    accelerator.native_amp = True
    model = network()
    inner = torch.optim.SGD(model.parameters(), lr=0.1)
    optimizer = accelerate.optimizer.AcceleratedOptimizer(inner, scaler=scaler)
    with observed(model, optimizer=optimizer) as run:
        for i, (x, y) in enumerate(data()):
            factor = float("inf") if i == 2 else 1.0
            accelerator.backward(factor * nn.functional.mse_loss(model(x), y))
            optimizer.step()
            assert optimizer.step_was_skipped == (i == 2)
            optimizer.zero_grad()
    series = run.series
    assert series["skipped"].values == (0.0, 0.0, 1.0, 0.0, 0.0, 0.0)
    assert series["norm"].steps == (0, 1, 3, 4, 5)
    assert series["loss_scale"].values[:4] == (1024.0, 1024.0, 1024.0, 512.0)
    assert series["loss"].values[:2] == pytest.approx(by_hand()["loss"].values[:2], rel=1e-6)
    assert series["norm"].values[0] == pytest.approx(by_hand()["norm"].values[0], rel=1e-6)
