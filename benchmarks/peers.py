"""Print what other ways to look at gradients cost, and which faults they catch.

Run: ``python -m benchmarks.peers [--model NAME ...] [--rounds N]``

Cost is the median time of the work that comes on top of one evaluation, as a multiple of that
evaluation: a forward and backward pass, and the keeping of the user's objects. Caught are faults of
`benchmarks.power.faults`, applied to the gradient of each model, out of all that apply.

total norm
    ``torch.nn.utils.get_total_norm``, compared within 1 %.
histograms
    64 bins for each parameter, as ``wandb.watch`` logs them; an alarm where more than 1 % of the
    elements of a parameter change their bin.
full snapshot
    every element written by ``numpy.savez`` and compared with ``numpy.allclose`` at the tolerances
    of `torch.testing`, as ``ndarrays_regression`` of pytest-regressions does.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import time
from typing import TYPE_CHECKING, Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from benchmarks.power.faults import faults
from benchmarks.power.models import models
from benchmarks.power.observed import Answer, answer, norm, through
from pytest_gradcheck.api import judged
from pytest_gradcheck.limits import parse
from pytest_gradcheck.measure import measure
from pytest_gradcheck.plan import Plan
from pytest_gradcheck.recording import record

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.power.subject import Model

BINS = 64
LIMITS = parse(("the call", {"perturb": False, "reaches": False}))


def main() -> int:
    """Measure cost and catch of every way on the models that were asked for."""
    known = {model.name: model for model in models("torch")}
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    quick = [name for name, model in known.items() if model.quick]
    parser.add_argument("--model", action="append", choices=list(known), help="default: the quick")
    parser.add_argument("--rounds", type=int, default=5, help="per timing (default 5)")
    args = parser.parse_args()
    torch.set_num_threads(1)
    for name in args.model or quick:
        print(f"\n{name}\n{'way':<18} {'cost':>8}   {'caught':>8}")
        cost, caught = costs(known[name], args.rounds), catches(known[name])
        for way in dict.fromkeys([*cost, *caught]):
            price = f"{cost[way]:8.2f}" if way in cost else f"{'-':>8}"
            print(f"{way:<18} {price}   {caught.get(way, '-'):>8}")
    return 0


def costs(model: Model, rounds: int) -> dict[str, float]:
    """Return what every way costs, as a multiple of one forward and backward pass."""
    objective = model.objective()
    healthy = objective.value_and_grad()
    arrays = {n: g for n, g in answer(healthy).grads.items() if g is not None}
    tensors = [torch.from_numpy(g.astype(np.float32)) for g in arrays.values()]
    one = seconds(objective.value_and_grad, rounds)
    ways: dict[str, Callable[[], object]] = {
        "total norm": lambda: float(torch.nn.utils.get_total_norm(tensors)),
        "histograms": lambda: [histogram(g) for g in arrays.values()],
        "full snapshot": lambda: np.savez(io.BytesIO(), **named(arrays)),
    }
    found = {way: seconds(work, rounds) / one for way, work in ways.items()}
    found["pytest-gradcheck"] = seconds(lambda: measure(objective, Plan()), rounds) / one - 1.0
    return found


def catches(model: Model) -> dict[str, str]:
    """Return how many faults every way catches, of how many."""
    objective = model.objective()
    healthy = answer(objective.value_and_grad(precision="float64"))
    now = answer(objective.value_and_grad())
    baseline = record(objective, LIMITS)
    rules: dict[str, Callable[[Answer, Answer], bool]] = {
        "total norm": norms_differ,
        "histograms": histograms_differ,
        "full snapshot": elements_differ,
    }
    found, count = dict.fromkeys([*rules, "pytest-gradcheck"], 0), 0
    for fault in faults(healthy):
        count += 1
        broken = fault.apply(now)
        for way, rule in rules.items():
            found[way] += rule(broken, now)
        changed = through(objective, fault.apply, components=fault.components)
        found["pytest-gradcheck"] += not judged(changed, LIMITS, baseline=baseline).passed
    return {way: f"{n}/{count}" for way, n in found.items()}


def norms_differ(now: Answer, before: Answer) -> bool:
    """Whether the total norm moved by more than one percent."""
    a, b = norm(now.grads), norm(before.grads)
    return not abs(a - b) <= 0.01 * b


def histograms_differ(now: Answer, before: Answer) -> bool:
    """Whether more than one percent of a parameter's elements are in another bin."""
    for name, old in before.grads.items():
        new = now.grads[name]
        if (new is None) != (old is None):
            return True
        if new is None or old is None:
            continue
        counts, edges = histogram(old)
        other, _ = np.histogram(np.nan_to_num(new), bins=edges)
        if np.abs(counts - other).sum() > 0.02 * old.size:
            return True
    return False


def elements_differ(now: Answer, before: Answer) -> bool:
    """Whether an element is not close to what it was."""
    for name, old in before.grads.items():
        new = now.grads[name]
        if (new is None) != (old is None):
            return True
        if new is not None and old is not None and not np.allclose(new, old, 1.3e-6, 1e-5):
            return True
    return False


def histogram(values: Any) -> tuple[Any, Any]:  # noqa: ANN401 - arrays
    """Return counts and edges of 64 bins."""
    return np.histogram(values, bins=BINS)


def named(arrays: dict[str, Any]) -> dict[str, Any]:
    """Return arrays under names that a file of arrays takes."""
    return {f"a{i}": g for i, g in enumerate(arrays.values())}


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
