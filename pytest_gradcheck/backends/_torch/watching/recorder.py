"""Write down every step of a training loop from what the taps hear.

Requirements:
    A step is one call of an optimizer's ``step``. What was computed backward since the step before
    belongs to it: with gradient accumulation that is several losses, which are added up; where one
    backward serves several optimizers, each of them has the same loss. Norms are those before
    clipping, and of unscaled gradients.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import torch
from torch import nn

from pytest_gradcheck.backends._torch.watching.arguments import scalar
from pytest_gradcheck.backends._torch.watching.inputs import STATISTICS, seeing
from pytest_gradcheck.backends._torch.watching.names import (
    autocast,
    coarsest,
    facts_of,
    model_of,
    names_of,
    parameters_of,
    rates_of,
)
from pytest_gradcheck.backends._torch.watching.pending import Pending
from pytest_gradcheck.backends._torch.watching.since import Since
from pytest_gradcheck.backends._torch.watching.taps import listening
from pytest_gradcheck.backends._torch.watching.weights import Weights
from pytest_gradcheck.series.rows import LoggedRow, Notebook, StepProbe, StepRow

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch.amp.grad_scaler import GradScaler
    from torch.optim import Optimizer

    from pytest_gradcheck.backends._torch.watching.arguments import Watched

__all__ = ["Recorder"]


class Recorder:
    """Write down steps; hears of them as `taps.Listener` says."""

    def __init__(
        self, watched: Watched, *, name: str | None, updates: int, probes: Sequence[StepProbe]
    ) -> None:
        """Start with an empty notebook."""
        self.notebook = Notebook(objective=name or "", backend="torch")
        self.notebook.packages["torch"] = str(torch.__version__)
        self._watched = watched
        self._model = watched.model
        self._updates, self._probes = updates, tuple(probes)
        self._pending = Pending()
        self._since = Since(self._pending)
        self._names: dict[int, str] = {}
        self._counts = dict.fromkeys(watched.optimizers.values(), 0)
        self._rows: dict[int, StepRow] = {}
        self._weights = Weights()
        self._open = False
        self._unseen = True
        self._deaf = False
        self._made = False
        self._started = 0.0
        self._undo = ExitStack()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Listen while the block runs; what was heard is complete when it ends."""
        with self._undo as undo:
            if self._model is not None:
                self._meet(self._model)
            undo.enter_context(listening(self))
            yield
        self.fetch()

    def fetch(self) -> None:
        """Bring the notebook up to date."""
        self._pending.fetch()

    @property
    def now(self) -> int:
        """The step that is in progress or, between two, the last one."""
        counts = self._counts.values()
        if not counts:
            return 0
        between = not self._open and len(set(counts)) == 1
        return max(min(counts) - between, 0)

    def log(self, group: str, values: Mapping[str, object]) -> None:
        """Write down scalars of the step in progress or, between two, of the last one."""
        row = LoggedRow(group=group, step=self.now)
        for key, value in values.items():
            self._pending.note(row.values, key, scalar(key, value))
        self.notebook.logged.append(row)

    def epoch(self) -> None:
        """Begin an epoch at the next step."""
        step = max(self._counts.values(), default=0)
        if step and step not in self.notebook.epochs:
            self.notebook.epochs.append(step)

    # What the taps tell.

    def backward(self, roots: list[torch.Tensor]) -> None:
        """Add to the loss of the step in progress."""
        if not self._deaf:
            self._open = True
            self._since.backward(roots)

    def scaled(self, outputs: object, result: object) -> None:
        """Remember the loss behind a scaled one."""
        self._since.scaled(outputs, result)

    def clipping(self, parameters: list[torch.Tensor], kind: str, threshold: float) -> None:
        """Take the norms before they are clipped."""
        if not self._deaf:
            self._since.clipping(parameters, kind, threshold)

    def clipped(self, total: torch.Tensor | None) -> None:
        """Remember what the total norm had been."""
        if not self._deaf:
            self._since.clipped(total)

    def scaler_steps(self, scaler: GradScaler, optimizer: Optimizer) -> None:
        """Remember the scale."""
        if scaler.is_enabled() and self._source(optimizer) is not None:
            self._since.scale = scaler._get_scale_async()  # noqa: SLF001 - get_scale() waits
            self._made = False

    def scaler_stepped(self, optimizer: Optimizer) -> None:
        """Write down a step that was skipped: the optimizer never heard of it."""
        source, scale = self._source(optimizer), self._since.scale
        if source is None or scale is None:
            return
        if not self._made:
            row = self._row(source, optimizer)
            row.values["skipped"] = 1.0
            self._close(source, row)
        self._since.scale = None

    def stepping(self, optimizer: Optimizer) -> None:
        """Take what there is before the step."""
        source = None if self._deaf else self._source(optimizer)
        if source is None:
            return
        parameters = parameters_of(optimizer)
        if self._model is None:
            self._meet(model_of(parameters))
        self._names |= names_of(optimizer, self._names)
        row = self._rows[id(optimizer)] = self._row(source, optimizer)
        self._since.gradients(row.values, parameters, self._names, optimizer)
        if self._updates and row.step % self._updates == 0:
            moved = [p for p in parameters if p.grad is not None and p.numel()]
            if moved:
                self._weights.before(id(optimizer), moved)

    def stepped(self, optimizer: Optimizer) -> None:
        """Take what the step changed, and close it."""
        if self._deaf:
            return
        source = self._source(optimizer)
        if source is None:
            self._since.over = True  # another loop's: what it computed is not ours
            return
        row = self._rows.pop(id(optimizer), None)
        if row is None:
            return
        change = self._weights.after(id(optimizer))
        if change is not None:
            self._pending.add(row.values, ["weight", "update"], change)
        self._close(source, row)

    def _row(self, source: str, optimizer: Optimizer) -> StepRow:
        """Return the row of a step, with what is known whether it is made or skipped."""
        row = StepRow(source=source, step=self._counts[source])
        self._since.loss(row.values)
        for key, rate in rates_of(optimizer).items():
            self._pending.note(row.values, key, rate)
        return row

    def _close(self, source: str, row: StepRow) -> None:
        """Enter a step in the notebook, and let the probes that are due have their say."""
        if row.step == 0:
            kinds = self.notebook.facts.setdefault("optimizers", "")
            label = type(self._watched.object_of(source)).__name__
            self.notebook.facts["optimizers"] = f"{kinds}, {label}" if kinds else label
        if not self.notebook.rows:
            self._started = time.perf_counter()
        self.notebook.rows.append(row)
        self.notebook.seconds = time.perf_counter() - self._started
        self._counts[source] += 1
        self._open, self._unseen, self._since.over, self._made = False, True, True, True
        if source == next(iter(self._counts)):
            for probe in self._probes:
                if row.step % probe.every == 0:
                    self._probe(probe)

    def _probe(self, probe: StepProbe) -> None:
        """Let a probe read what it wants, unheard, from streams that go on as if it had not."""
        self._deaf = True
        state = torch.get_rng_state()
        try:
            found = probe.read()
        finally:
            self._deaf = False
            torch.set_rng_state(state)
        self.log(probe.name, {f"{probe.name}.{key}": value for key, value in found.items()})

    def _source(self, optimizer: Optimizer) -> str | None:
        """Return the name of an optimizer that is watched, ``None`` for another one."""
        name = self._watched.name_of(optimizer)
        if name is not None and name not in self._counts:
            self._counts[name] = 0
        return name

    def _meet(self, model: nn.Module | None) -> None:
        """Learn what the model is called, what its parameters are called, and see its inputs."""
        if model is None:
            return
        self._model = model
        book = self.notebook
        book.objective = book.objective or type(model).__name__
        named = dict(model.named_parameters())
        self._names = {id(p): name for name, p in named.items()}
        book.device = next((p.device.type for p in named.values()), "cpu")
        book.facts |= facts_of(model, named)
        self._undo.enter_context(seeing(model, self._looks, self._see))

    def _looks(self) -> bool:
        """Whether the inputs of this step are yet to be seen."""
        return self._unseen and torch.is_grad_enabled() and not self._deaf

    def _see(self, keys: list[str], found: list[torch.Tensor], batch: int) -> None:
        """Write down what was fed to the model."""
        self._unseen, self._open = False, True
        if batch:
            self.notebook.facts["batch"] = batch
        narrow = autocast(self.notebook.device)
        if narrow is not None:
            self.notebook.facts["precision"] = coarsest([narrow])
        row = LoggedRow(group="scale", step=self.now)
        for key, statistics in zip(keys, found, strict=True):
            self._pending.add(row.values, [f"{key}.{name}" for name in STATISTICS], statistics)
        self.notebook.logged.append(row)
