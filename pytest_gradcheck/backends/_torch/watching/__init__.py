"""Watch a torch training loop from outside: hooks on what every loop calls, removed afterwards.

Requirements:
    The loop is not changed, nor is any bit of what it computes. Nothing waits for an accelerator
    while a step runs: numbers stay where they are and are fetched many at once. Everything that
    was put in place is taken away when the block ends, however it ends.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from pytest_gradcheck.backends._torch.watching.arguments import Watched
from pytest_gradcheck.backends._torch.watching.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_gradcheck.series.rows import StepProbe

__all__ = ["Recorder", "watcher"]


@contextmanager
def watcher(
    model: object = None,
    optimizer: object = None,
    *,
    name: str | None = None,
    updates: int = 1,
    probes: Sequence[StepProbe] = (),
) -> Iterator[Recorder]:
    """Write down what a training loop does while the block runs.

    Args:
        model: an ``nn.Module``; ``None`` finds the one whose parameters are stepped.
        optimizer: one, several, or several by name; ``None`` for all that step the model.
        name: what messages call the model; its class by default.
        updates: steps between two looks at how far the weights move, 0 for none: there is a copy of
            the weights while a step is made, on a CPU as long as the block runs.
        probes: groups of metrics with their own cadence.

    Raises:
        UsageError: the model or an optimizer cannot be used; the message says why.
    """
    recorder = Recorder(Watched.of(model, optimizer), name=name, updates=updates, probes=probes)
    with recorder.running():
        yield recorder
