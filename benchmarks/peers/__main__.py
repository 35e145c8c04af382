"""Print what other ways to look at gradients cost, and which faults they catch.

Run: ``python -m benchmarks.peers [--model NAME ...] [--rounds N]``

Cost is the median time of a check, as a multiple of one forward and backward pass of the model as
it was written; a way that runs such a pass itself is charged for it, this package as well. Caught
are faults of `benchmarks.power.faults`, applied to the gradient of each model, out of all that
apply. A way that fails the right gradient is marked: ``alarm``.

total norm
    ``torch.nn.utils.get_total_norm``, compared within 1 %.
histograms
    64 bins for each parameter, as ``wandb.watch`` logs them; an alarm where more than 1 % of the
    elements of a parameter change their bin.
pytest-torch finite, pytest-torch receive
    ``assert_gradients_finite`` and ``assert_all_params_receive_grad`` of that package.
gradcheck, fast and slow
    ``torch.autograd.gradcheck`` at its defaults on the loss in float64 as a function of all
    parameters: numeric against analytic, so that it needs no earlier run and sees no fault that the
    loss has as well. Slow takes two losses for each element; beyond `SLOW` of them its cost is
    counted instead of measured (``~``), and beyond `FAST` elements the fast one is run once.
full snapshot
    every element, by ``ndarrays_regression`` of pytest-regressions at the tolerances of
    `torch.testing`.

Packages are taken from ``build/peers``; where one is missing its lines are, and this is said.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from benchmarks import overhead
from benchmarks.peers.modules import Broken, Native
from benchmarks.peers.packages import (
    Snapshot,
    available,
    checks_out,
    fails,
    pytest_torch_rules,
)
from benchmarks.peers.rules import histogram, histograms_differ, norms_differ
from benchmarks.power.faults import faults
from benchmarks.power.models import models
from benchmarks.power.observed import Answer, answer, memoised, through
from benchmarks.power.subject import AS_WRITTEN, Model, Subject
from pytest_gradcheck.api import judged
from pytest_gradcheck.limits import parse
from pytest_gradcheck.recording import record

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_gradcheck.records import Objective

SLOW = 40  # elements
FAST = 100_000  # elements
LIMITS = parse(("the call", {"perturb": False, "reaches": False}))


def main() -> int:
    """Measure cost and catch of every way on the models that were asked for."""
    known = {model.name: model for model in (*models("torch"), larger())}
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    quick = [name for name, model in known.items() if model.quick]
    parser.add_argument("--model", action="append", choices=list(known), help="default: the quick")
    parser.add_argument("--rounds", type=int, default=5, help="per timing (default 5)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    missing = [p for p in ("pytest_torch", "pytest_regressions") if not available(p)]
    for name in args.model or quick:
        size = sum(view.size for view in known[name].objective().point.values())
        print(f"\n{name}, {size:,} elements\n{'way':<20} {'cost':>10}   {'caught':>8}")
        cost, caught = costs(known[name], args.rounds), catches(known[name])
        for way in dict.fromkeys([*cost, *caught]):
            print(f"{way:<20} {cost.get(way, '-'):>10}   {caught.get(way, '-'):>8}", flush=True)
    if missing:
        print(
            f"\nnot compared, not installed: {', '.join(missing)}\n"
            "pip install --no-deps --target build/peers -r requirements/peers.txt",
            file=sys.stderr,
        )
    return len(missing)


def larger() -> Model:
    """Return the transformer of a million elements, whose cost `benchmarks.overhead` measures."""

    def build(_: object) -> Subject:
        torch.manual_seed(0)
        subject = overhead.SUBJECTS["transformer 1M"]()
        return Subject(source=subject.model, loss=subject.loss)

    return Model(name="transformer 1M", family="torch", build=build, quick=True)


def costs(model: Model, rounds: int) -> dict[str, str]:
    """Return what every way costs, as a multiple of one forward and backward pass."""
    subject, objective = model.build(AS_WRITTEN), model.objective()
    native, now = Native(subject), answer(objective.value_and_grad())
    arrays = [g for g in now.grads.values() if g is not None]
    tensors = [torch.from_numpy(g.astype(np.float32)) for g in arrays]
    size = sum(view.size for view in objective.point.values())
    baseline = record(objective, LIMITS)

    def one() -> None:
        native.zero_grad(set_to_none=True)
        native().backward()

    def checked() -> bool:
        return judged(model.objective(), LIMITS, baseline=baseline).passed

    one()
    base = seconds(one, rounds)
    ways: dict[str, Callable[[], object]] = {
        "total norm": lambda: float(torch.nn.utils.get_total_norm(tensors)),
        "histograms": lambda: [histogram(g) for g in arrays],
    }
    if available("pytest_torch"):
        ways |= {way: partial(fails, rule, native) for way, rule in pytest_torch_rules().items()}
    if available("pytest_regressions"):
        ways["full snapshot"] = partial(Snapshot(now.grads).differs, now.grads)
    ways["pytest-gradcheck"] = checked
    found = {way: f"{seconds(work, rounds) / base:.2f}" for way, work in ways.items()}
    fast = partial(checks_out, objective, same, fast=True)
    found["gradcheck, fast"] = f"{seconds(fast, rounds if size <= FAST else 1) / base:.0f}"
    found["gradcheck, slow"] = slow_cost(objective, size, base)
    return found


def slow_cost(objective: Objective, size: int, base: float) -> str:
    """Return what slow ``gradcheck`` costs: measured where it ends soon, counted elsewhere."""
    if size <= SLOW:
        return f"{seconds(partial(checks_out, objective, same, fast=False), 1) / base:.0f}"
    once = seconds(partial(objective.value, precision="float64"), 3)
    return f"~{2 * size * once / base:,.0f}"


def catches(model: Model) -> dict[str, str]:
    """Return how many faults every way catches, of how many."""
    objective = memoised(model.objective())
    healthy = answer(objective.value_and_grad(precision="float64"))
    now = answer(objective.value_and_grad())
    rules = judges(objective, now)
    false = {way for way, rule in rules.items() if rule(same, False)}  # noqa: FBT003 - no components
    found, count = dict.fromkeys(rules, 0), 0
    for fault in faults(healthy):
        count += 1
        for way, rule in rules.items():
            found[way] += rule(fault.apply, fault.components)
    return {way: "alarm" if way in false else f"{n}/{count}" for way, n in found.items()}


def judges(
    objective: Objective, now: Answer
) -> dict[str, Callable[[Callable[[Answer], Answer], bool], bool]]:
    """Return every way as a function of a change, and of whether that needs the components."""
    baseline = record(objective, LIMITS)
    size = sum(view.size for view in objective.point.values())
    rules: dict[str, Callable[[Callable[[Answer], Answer], bool], bool]] = {
        "total norm": lambda change, _: norms_differ(change(now), now),
        "histograms": lambda change, _: histograms_differ(change(now), now),
    }
    if available("pytest_torch"):
        for way, assertion in pytest_torch_rules().items():
            rules[way] = partial(_breaks, objective, assertion)
    if available("pytest_regressions"):
        snapshot = Snapshot(now.grads)
        rules["full snapshot"] = lambda change, _: snapshot.differs(change(now).grads)
    if size <= FAST:
        rules["gradcheck, fast"] = lambda change, _: not checks_out(objective, change, fast=True)
    if size <= SLOW:
        rules["gradcheck, slow"] = lambda change, _: not checks_out(objective, change, fast=False)
    rules["pytest-gradcheck"] = lambda change, components: (
        not judged(
            through(objective, change, components=components), LIMITS, baseline=baseline
        ).passed
    )
    return rules


def _breaks(
    objective: Objective,
    assertion: Callable[..., object],
    change: Callable[[Answer], Answer],
    _: bool,  # noqa: FBT001 - as every way is called
) -> bool:
    """Return whether an assertion about modules fails a changed gradient."""
    return fails(assertion, Broken(objective, change))


def same(now: Answer) -> Answer:
    """Return a gradient as it is."""
    return now


def seconds(action: Callable[[], object], rounds: int) -> float:
    """Return the median time of an action."""
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


if __name__ == "__main__":
    raise SystemExit(main())
