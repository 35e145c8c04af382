"""Print what a measurement costs, relative to one forward and backward pass of the same model.

Run: ``python -m benchmarks.overhead [--pairs N] [--model NAME ...] [--device cuda]``

Measured is all that is on by default except the extra evaluations: statistics, top elements and
sketches of every parameter, and the saving and restoring of the user's objects.

Time
    One thread. Passes and measurements alternate, so that whatever else the machine does hits both
    alike; a measurement contains a pass of its own, which is taken off. Printed is the median over
    all pairs of ``(measurement - pass) / pass``.

Memory
    Bytes that are allocated on top of a plain pass, at the worst moment, relative to the bytes of
    the gradients. Tensors are counted by torch's profiler, everything else, numpy's arrays
    included, by `tracemalloc`; their two peaks are added though they may lie apart in time, so the
    figure is an upper bound. On an accelerator it is the allocator's own peak.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler's own remarks

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from pytest_gradcheck.backends import objective
from pytest_gradcheck.measure import measure

TIME_LIMITS = {"transformer 1M": 0.10, "transformer 25M": 0.05}  # of a pass
MEMORY_LIMIT, MEMORY_FLOOR = 0.01, 32 * 2**20  # of the gradients' size, and bytes beside it
VOCABULARY = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Hold a model with its loss."""

    model: nn.Module
    loss: Callable[[], torch.Tensor]

    @property
    def gradient_bytes(self) -> int:
        """Size of all gradients."""
        return sum(p.numel() * p.element_size() for p in self.model.parameters())

    def step(self) -> None:
        """Run one forward and backward pass, and forget the gradients."""
        self.loss().backward()
        self.model.zero_grad(set_to_none=True)

    def measure(self) -> None:
        """Take one measurement, objective and all, as a test would."""
        measure(objective(self.model, self.loss))


class Transformer(nn.Module):
    """Predict the next token with a plain pre-norm encoder."""

    def __init__(self, *, width: int, layers: int, length: int) -> None:
        """Build the model for sequences of one length."""
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, width)
        self.position = nn.Parameter(0.02 * torch.randn(length, width))
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, 4, 4 * width, dropout=0.0, batch_first=True, norm_first=True
            )
            for _ in range(layers)
        )
        self.head = nn.Linear(width, VOCABULARY)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return the logits, shape ``(batch, length, vocabulary)``."""
        hidden = self.embedding(tokens) + self.position
        for block in self.blocks:
            hidden = block(hidden)
        logits: torch.Tensor = self.head(hidden)
        return logits


def mlp() -> Subject:
    """Return a perceptron of 0.16 million parameters at batch 64."""
    model = nn.Sequential(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU())
    model.extend([nn.Linear(256, 128), nn.Linear(128, 10)])
    inputs, labels = torch.randn(64, 256), torch.randint(0, 10, (64,))
    return Subject(model=model, loss=lambda: nn.functional.cross_entropy(model(inputs), labels))


def transformer(*, width: int, layers: int, length: int) -> Subject:
    """Return a transformer at a batch of eight texts."""
    tokens = torch.randint(0, VOCABULARY, (8, length + 1))
    model = Transformer(width=width, layers=layers, length=length)

    def loss() -> torch.Tensor:
        return nn.functional.cross_entropy(model(tokens[:, :-1]).mT, tokens[:, 1:])

    return Subject(model=model, loss=loss)


SUBJECTS: dict[str, Callable[[], Subject]] = {
    "MLP 0.16M": mlp,
    "transformer 1M": lambda: transformer(width=144, layers=4, length=64),
    "transformer 25M": lambda: transformer(width=512, layers=8, length=128),
    "transformer 1.2B": lambda: transformer(width=2048, layers=24, length=128),
}
LARGE = ("transformer 1.2B",)  # only where asked for


def main() -> int:
    """Measure the models that were asked for and print one line for each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--pairs", type=int, default=30, help="alternations per model (default 30)")
    parser.add_argument(
        "--model", action="append", choices=list(SUBJECTS), help="default: all but the largest"
    )
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    args = parser.parse_args()
    torch.set_num_threads(1)
    where = torch.cuda.get_device_name() if args.device == "cuda" else "one thread"
    print(
        f"torch {torch.__version__}, {where}; limits: time {TIME_LIMITS}, memory "
        f"{MEMORY_LIMIT} of the gradients + {MEMORY_FLOOR / 2**20:.0f} MiB"
    )
    print(f"{'model':<16} {'parameters':>11} {'pass':>9} {'extra time':>11} {'extra memory':>13}")
    met = True
    for name in args.model or [name for name in SUBJECTS if name not in LARGE]:
        torch.manual_seed(0)
        with torch.device(args.device):
            subject = SUBJECTS[name]()
        one_pass, extra = extra_time(subject, args.pairs)
        memory = extra_memory(subject)
        count = sum(p.numel() for p in subject.model.parameters())
        print(f"{name:<16} {count:>11,} {one_pass * 1e3:>6.1f} ms {extra:>11.3f} {memory:>13.3f}")
        allowed = MEMORY_LIMIT + MEMORY_FLOOR / subject.gradient_bytes
        met &= extra <= TIME_LIMITS.get(name, extra) and memory <= allowed
    return 0 if met else 1


def extra_time(subject: Subject, pairs: int) -> tuple[float, float]:
    """Return the median time of a pass and the median extra time of a measurement, relative."""
    subject.step()
    subject.measure()
    passes, extras = [], []
    gc.disable()
    for _ in range(pairs):
        one_pass, measured = timed(subject.step), timed(subject.measure)
        passes.append(one_pass)
        extras.append((measured - one_pass) / one_pass)
        gc.collect()
    gc.enable()
    return statistics.median(passes), statistics.median(extras)


def timed(action: Callable[[], None]) -> float:
    """Return the seconds that an action takes."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    started = time.perf_counter()
    action()
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def extra_memory(subject: Subject) -> float:
    """Return the extra bytes of a measurement at its peak, relative to the gradients' size."""
    if next(subject.model.parameters()).is_cuda:
        device = device_peak(subject.measure) - device_peak(subject.step)
        return max(device, 0) / subject.gradient_bytes
    tensors = tensor_peak(subject.measure) - tensor_peak(subject.step)
    others = traced_peak(subject.measure) - traced_peak(subject.step)
    return (max(tensors, 0) + max(others, 0)) / subject.gradient_bytes


def device_peak(action: Callable[[], None]) -> int:
    """Return the largest number of bytes that an action holds on the accelerator."""
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    action()
    return torch.cuda.max_memory_allocated() - before


def tensor_peak(action: Callable[[], None]) -> int:
    """Return the largest number of bytes in tensors that an action has allocated at one time."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        action()
    results = profiler.profiler.kineto_results
    changes = [(e.start_ns(), e.nbytes()) for e in results.events() if e.name() == "[memory]"]
    alive = peak = 0
    for _, change in sorted(changes):
        alive += change
        peak = max(peak, alive)
    return peak


def traced_peak(action: Callable[[], None]) -> int:
    """Return the largest number of bytes outside of tensors allocated at one time."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


if __name__ == "__main__":
    sys.exit(main())
